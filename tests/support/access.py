"""Who may do what: one row for every operation, as the design and the products' documents mean it.

A row says who gets an answer, who is told 403, and what the others are told: 404 where they may not know that
the thing exists. Nobody signed in is 401 but where `anonymous` is among those who get an answer.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.api import PASSWORD
from tests.support.assisting import question
from tests.support.browsers import subscription
from tests.support.people import person
from tests.support.provider import provider
from tests.support.world import NEW_PASSWORD, World, form

ROLES = frozenset(
    {
        "admin",
        "developer",
        "instructor",
        "project_admin",
        "solo_entrepreneur",
        "student",
        "team_collaborator",
        "user",
        "viewer",
    }
)
"""Each stands for somebody who holds it and has nothing to do with what is asked about."""
OWNER, EDITOR, MEMBER, ANONYMOUS = "owner", "editor", "member", "anonymous"
ACTORS = (ANONYMOUS, *sorted(ROLES), OWNER, EDITOR, MEMBER)

SIGNED_IN = ROLES | {OWNER, EDITOR, MEMBER}
EVERYBODY = SIGNED_IN | {ANONYMOUS}
ADMIN = frozenset({"admin"})
CREATE = ROLES - {"student", "team_collaborator", "viewer"} | {OWNER, EDITOR}  # the last two hold the role `user`
READ = frozenset({OWNER, EDITOR, MEMBER, "admin", "developer", "project_admin"})
CHANGE = READ - {MEMBER, "developer"}
OWN = CHANGE - {EDITOR}
SELF = ADMIN | {OWNER}
CAMPAIGNS = frozenset({OWNER, EDITOR, "admin", "project_admin", "solo_entrepreneur", "user"})  # may create some
MANAGE = frozenset({"admin", "project_admin"})
RUN, WORK = MANAGE | {OWNER}, MANAGE | {OWNER, MEMBER}  # the member is the campaign's agent

COURSES = frozenset({"admin", "instructor"})  # may create some
STUDY = frozenset({OWNER, MEMBER, "admin"})  # the member has a seat in the course

OWNER_ALONE = frozenset({OWNER})
TALK = frozenset({OWNER, MEMBER})  # take part in the conversation; administrators do not

Parts = dict[str, Any]


def _nothing(_: World) -> Parts:
    return {}


@dataclass(frozen=True, kw_only=True)
class Access:
    """What each actor is answered, and a request that has everything right."""

    ok: frozenset[str]
    forbidden: frozenset[str] = frozenset()
    others: int = 404
    anonymous: int = 401
    sends: Callable[[World], Parts] = _nothing
    """Parts of `Api.request`; `path` overrides path parameters, `query` is a dict."""
    path: Callable[[World], dict[str, Any]] = field(default=_nothing)

    @property
    def hides(self) -> bool:
        """Whether some may not know that the thing exists."""
        return 404 in {self.status(actor) for actor in ACTORS}

    def status(self, actor: str) -> int:
        """The expected status; 200 stands for all below 400."""
        if actor in self.ok:
            return 200
        if actor == ANONYMOUS:
            return self.anonymous
        return 403 if actor in self.forbidden else self.others


def json_(**body: Any) -> Callable[[World], Parts]:
    """A fixed body."""
    return lambda _: {"json_body": body}


def _public(sends: Callable[[World], Parts] = _nothing, **more: Any) -> Access:
    return Access(ok=EVERYBODY, sends=sends, **more)


def _signed_in(sends: Callable[[World], Parts] = _nothing) -> Access:
    return Access(ok=SIGNED_IN, sends=sends)


def _admin(sends: Callable[[World], Parts] = _nothing, **more: Any) -> Access:
    return Access(ok=ADMIN, others=403, sends=sends, **more)


def _both(path: str, access: Access) -> dict[str, Access]:
    """PUT and PATCH."""
    return {f"{method} {path}": access for method in ("PUT", "PATCH")}


def _unique(kind: str) -> str:
    return f"{kind}{secrets.token_hex(8)}"


def _credentials(world: World) -> Parts:
    return {"json_body": {"email": world.owner.user["email"], "password": PASSWORD}}


def _urlencoded(body: str) -> Parts:
    return {"body": body.encode(), "headers": {"content-type": "application/x-www-form-urlencoded"}}


def _of_project(world: World) -> Parts:
    return {"query": {"project_id": str(world.project_id)}}


def _in_project(world: World) -> Parts:
    return {"json_body": {"file_name": "a.txt", "size": 5, "project_id": str(world.project_id)}}


def _presign(world: World) -> Parts:
    return {"query": {"file_name": "a.txt", "size": "5", "project_id": str(world.project_id)}}


def _upload(world: World) -> dict[str, Any]:
    return {"file_id": world.upload_id}


def _newcomer(world: World) -> dict[str, Any]:
    return {"user_id": world.newcomer.id}


def _working_agent(world: World) -> dict[str, Any]:
    return {"agent_id": world.agent_id} if world.campaign_id else {}


def _new_account(_: World) -> Parts:
    return {"json_body": {"email": f"{_unique('new')}@example.com", "full_name": "New", "password": NEW_PASSWORD}}


def _at_provider(**parts: Any) -> Callable[[World], Parts]:
    """These parts, once there is a provider."""

    def sends(_: World) -> Parts:
        provider()
        return parts

    return sends


def _token_page(_: World) -> Parts:
    return {"query": {"token": "any"}}


def _done_import(world: World) -> dict[str, Any]:
    return {"upload_id": world.done_import_id}


def _emoji(_: World) -> dict[str, Any]:
    return {"emoji": "%F0%9F%A6%86"}


def _draft(world: World) -> dict[str, Any]:
    return {"course_id": world.draft_course_id}


def _lesson_file(world: World) -> dict[str, Any]:
    return {"file_id": world.lesson_file_id}


def _attachment(world: World) -> dict[str, Any]:
    return {"file_id": world.attachment_id}


def _leaves(_: World) -> Parts:
    person("admin")  # or an administrator might be the last
    return {"json_body": {"password": PASSWORD}}


def _exported(world: World) -> Parts:
    assert world.export_id
    return {}


ACCESS: dict[str, Access] = {
    # --- accounts ---
    "GET /.well-known/jwks.json": _public(),
    "POST /auth/register": _public(_new_account),
    "POST /auth/login": _public(_credentials),
    "POST /login": _public(_credentials),
    "GET /login": _public(_at_provider(query={"provider": "github"})),
    "GET /login/callback/{provider}": _public(lambda w: w.back_from_provider(), path=lambda _: {"provider": "github"}),
    "GET /auth/identities": _signed_in(),
    "POST /auth/identities": _signed_in(_at_provider(json_body={"provider": "google"})),
    "DELETE /auth/identities/{identity_id}": Access(ok=OWNER_ALONE),
    "POST /auth/refresh": _public(lambda w: {"json_body": {"refresh_token": w.refresh_token()}}),
    "POST /auth/logout": _signed_in(),
    "POST /logout": _signed_in(),
    "POST /auth/password": _signed_in(json_(current_password=PASSWORD, new_password=NEW_PASSWORD)),
    "POST /auth/password-reset": _public(lambda w: {"json_body": {"email": w.owner.user["email"]}}),
    "POST /auth/password-reset/confirm": _public(
        lambda w: {"json_body": {"token": w.mailed("password_reset"), "password": NEW_PASSWORD}}
    ),
    "GET /auth/password-reset/page": _public(_token_page),
    "POST /auth/password-reset/page": _public(
        lambda w: _urlencoded(f"token={w.mailed('password_reset')}&password={NEW_PASSWORD}")
    ),
    "POST /auth/email-verification": _signed_in(),
    "POST /auth/email-verification/confirm": _public(
        lambda w: {"json_body": {"token": w.mailed("email_verification")}}
    ),
    "GET /auth/email-verification/page": _public(_token_page),
    "POST /auth/email-verification/page": _public(lambda w: _urlencoded(f"token={w.mailed('email_verification')}")),
    "POST /auth/account-restore/confirm": _public(lambda w: {"json_body": {"token": w.restoring()}}),
    "GET /auth/account-restore/page": _public(_token_page),
    "POST /auth/account-restore/page": _public(lambda w: _urlencoded(f"token={w.restoring()}")),
    "GET /sessions": _signed_in(),
    "DELETE /sessions/{session_id}": Access(ok=OWNER_ALONE),
    # --- users ---
    "GET /users/me": _signed_in(),
    **_both("/users/me", _signed_in(json_(full_name="Changed"))),
    "DELETE /users/me": _signed_in(_leaves),
    "POST /users/me/export": _signed_in(),
    "GET /users/me/export": Access(ok=OWNER_ALONE, sends=_exported),
    "GET /users/me/export/content": Access(ok=OWNER_ALONE, sends=_exported),
    "GET /users": _admin(),
    "GET /users/{user_id}": Access(ok=SELF),
    **_both("/users/{user_id}", Access(ok=SELF, sends=json_(full_name="Changed"))),
    "PATCH /users/{user_id} roles": Access(ok=ADMIN, forbidden=SELF, sends=json_(roles=["viewer"])),
    "PUT /users/{user_id} status": Access(ok=ADMIN, forbidden=SELF, sends=json_(status="disabled")),
    "DELETE /users/{user_id}": Access(ok=ADMIN, forbidden=SELF),
    "DELETE /users/{user_id} purge": Access(ok=ADMIN, forbidden=SELF, sends=lambda _: {"query": {"purge": "true"}}),
    "GET /admin/users": _admin(),
    "POST /admin/users": _admin(_new_account),
    "GET /admin/users/{user_id}": _admin(),
    **_both("/admin/users/{user_id}", _admin(json_(roles=["viewer"]))),
    "DELETE /admin/users/{user_id}": _admin(),
    "GET /roles": _signed_in(),
    "POST /roles": _admin(lambda _: {"json_body": {"name": _unique("r")}}),
    "GET /roles/{role_id}": _signed_in(),
    **_both("/roles/{role_id}", _admin(json_(description="Changed"))),
    "DELETE /roles/{role_id}": _admin(),
    "GET /divisions": _signed_in(),
    "POST /divisions": _admin(lambda _: {"json_body": {"name": _unique("D")}}),
    "GET /divisions/{division_id}": _signed_in(),
    **_both("/divisions/{division_id}", _admin(lambda _: {"json_body": {"name": _unique("D")}})),
    "DELETE /divisions/{division_id}": _admin(),
    "GET /divisions/{division_id}/members": Access(ok=SELF, others=403),
    "PUT /divisions/{division_id}/members/{user_id}": _admin(path=_newcomer),
    "DELETE /divisions/{division_id}/members/{user_id}": _admin(),
    # --- projects ---
    "GET /projects": _signed_in(),
    "POST /projects": Access(ok=CREATE, others=403, sends=json_(title="New")),
    "GET /projects/{project_id}": Access(ok=READ),
    **_both("/projects/{project_id}", Access(ok=CHANGE, forbidden=READ, sends=json_(title="Changed"))),
    "PATCH /projects/{project_id} archive": Access(ok=OWN, forbidden=READ, sends=json_(status="archived")),
    "DELETE /projects/{project_id}": Access(ok=OWN, forbidden=READ),
    "DELETE /projects/{project_id} purge": Access(
        ok=ADMIN, forbidden=READ, sends=lambda _: {"query": {"purge": "true"}}
    ),
    "GET /projects/{project_id}/members": Access(ok=READ),
    "PUT /projects/{project_id}/members/{user_id}": Access(
        ok=OWN, forbidden=READ, sends=json_(role="viewer"), path=_newcomer
    ),
    "DELETE /projects/{project_id}/members/{user_id}": Access(
        ok=OWN | {MEMBER}, forbidden=READ, path=lambda w: {"user_id": w.member.id}
    ),
    # --- tasks: the project of a new one, when the caller may not see it, is a 400 that names the field ---
    "GET /tasks": _signed_in(),
    "GET /tasks project": Access(ok=READ, sends=_of_project),
    "POST /tasks": Access(
        ok=CHANGE,
        forbidden=READ,
        others=400,
        sends=lambda w: {"json_body": {"project_id": str(w.project_id), "title": "New"}},
    ),
    "PATCH /tasks": Access(
        ok=CHANGE,
        forbidden=READ,
        sends=lambda w: {"json_body": {"ids": [str(w.task_id)], "changes": {"priority": "high"}}},
    ),
    "PATCH /tasks status": Access(  # the member is the task's assignee
        ok=CHANGE | {MEMBER},
        forbidden=READ,
        sends=lambda w: {"json_body": {"ids": [str(w.task_id)], "changes": {"status": "done"}}},
    ),
    "GET /tasks/{task_id}": Access(ok=READ),
    **_both("/tasks/{task_id}", Access(ok=CHANGE, forbidden=READ, sends=json_(title="Changed"))),
    "PUT /tasks/{task_id} status": Access(ok=CHANGE | {MEMBER}, forbidden=READ, sends=json_(status="done")),
    "PATCH /tasks/{task_id} assignee": Access(ok=CHANGE, forbidden=READ, sends=json_(status="done", assignee_id=None)),
    "PATCH /tasks/{task_id} move": Access(ok=CHANGE, forbidden=READ, sends=json_(after=None)),
    "DELETE /tasks/{task_id}": Access(ok=CHANGE, forbidden=READ),
    # --- files: the place for a new one, when the caller may not see it, is a 400 that names the field ---
    "GET /folders": Access(ok=READ, sends=_of_project),
    "POST /folders": Access(
        ok=CHANGE,
        forbidden=READ,
        others=400,
        sends=lambda w: {"json_body": {"project_id": str(w.project_id), "name": "New"}},
    ),
    "GET /folders/{folder_id}": Access(ok=READ),
    **_both("/folders/{folder_id}", Access(ok=CHANGE, forbidden=READ, sends=json_(name="Changed"))),
    "DELETE /folders/{folder_id}": Access(ok=CHANGE, forbidden=READ),
    "GET /files": _signed_in(),
    "GET /files project": Access(ok=READ, sends=_of_project),
    "POST /files": Access(ok=CHANGE, forbidden=READ, others=400, sends=lambda w: form(project_id=str(w.project_id))),
    "POST /files alone": _signed_in(lambda _: form()),
    "POST /files/multipart": Access(ok=CHANGE, forbidden=READ, others=400, sends=_in_project),
    "GET /files/presign-upload": Access(ok=CHANGE, forbidden=READ, others=400, sends=_presign),
    "GET /files/presign-download": Access(ok=READ, sends=lambda w: {"query": {"file_id": str(w.file_id)}}),
    "GET /files/{file_id}": Access(ok=READ),
    "GET /files/{file_id}/content": Access(ok=READ),
    **_both("/files/{file_id}", Access(ok=CHANGE, forbidden=READ, sends=json_(file_name="b.txt"))),
    "DELETE /files/{file_id}": Access(ok=CHANGE, forbidden=READ),
    "POST /files/{file_id}/parts": Access(ok=CHANGE, forbidden=READ, sends=json_(first=1, last=1), path=_upload),
    "GET /files/{file_id}/parts": Access(ok=CHANGE, forbidden=READ, path=_upload),
    "POST /files/{file_id}/complete": Access(
        ok=CHANGE, forbidden=READ, sends=lambda w: {"json_body": {"parts": [w.uploaded_part()]}}, path=_upload
    ),
    "POST /files/{file_id}/abort": Access(ok=CHANGE, forbidden=READ, path=_upload),
    # --- campaigns ---
    "GET /campaigns": _signed_in(),
    "POST /campaigns": Access(ok=CAMPAIGNS, others=403, sends=json_(name="New")),
    "GET /campaigns/{campaign_id}": Access(ok=WORK),
    **_both("/campaigns/{campaign_id}", Access(ok=RUN, forbidden=WORK, sends=json_(name="Changed"))),
    "DELETE /campaigns/{campaign_id}": Access(ok=RUN, forbidden=WORK),
    "POST /campaigns/{campaign_id}/assign": Access(
        ok=RUN, forbidden=WORK, sends=lambda w: {"json_body": {"agent_ids": [str(w.unused_agent_id)]}}
    ),
    "GET /campaigns/{campaign_id}/agents": Access(ok=WORK),
    "DELETE /campaigns/{campaign_id}/agents/{agent_id}": Access(ok=RUN, forbidden=WORK),
    "POST /campaigns/{campaign_id}/distribute": Access(ok=RUN, forbidden=WORK),
    # imports
    "POST /campaigns/{campaign_id}/data": Access(ok=RUN, forbidden=WORK, sends=lambda _: form(on_duplicate="skip")),
    "GET /campaigns/{campaign_id}/data": Access(ok=RUN, forbidden=WORK),
    "GET /campaigns/{campaign_id}/data/status": Access(
        ok=RUN, forbidden=WORK, sends=lambda w: {"query": {"upload": str(w.import_id)}}
    ),
    "GET /campaigns/{campaign_id}/data/preview": Access(
        ok=RUN, forbidden=WORK, sends=lambda w: {"query": {"file_id": str(w.import_id and w.table_id)}}
    ),
    "GET /campaigns/{campaign_id}/data/{upload_id}/failed-rows": Access(ok=RUN, forbidden=WORK, path=_done_import),
    "POST /campaigns/{campaign_id}/data/{upload_id}/cancel": Access(
        ok=RUN, forbidden=WORK, path=lambda w: {"upload_id": w.import_id}
    ),
    "POST /campaigns/{campaign_id}/data/{upload_id}/revert": Access(ok=RUN, forbidden=WORK, path=_done_import),
    "GET /campaigns/{campaign_id}/contacts": Access(ok=WORK),
    "GET /contacts/{contact_id}": Access(ok=WORK),
    **_both("/contacts/{contact_id}", Access(ok=WORK, sends=json_(full_name="Changed"))),
    "PATCH /contacts/{contact_id} agent": Access(ok=RUN, forbidden=WORK, sends=json_(agent_id=None)),
    "GET /contacts/{contact_id}/activities": Access(ok=WORK),
    "POST /contacts/{contact_id}/activities": Access(ok=WORK, sends=json_(outcome="contacted")),
    "GET /agents": _signed_in(),
    "POST /agents": Access(
        ok=MANAGE, others=403, sends=lambda _: {"json_body": {"name": "A", "email": f"{_unique('a')}@example.com"}}
    ),
    "GET /agents/{agent_id}": Access(ok=CAMPAIGNS | {MEMBER}),
    **_both("/agents/{agent_id}", Access(ok=MANAGE, forbidden=CAMPAIGNS | {MEMBER}, sends=json_(name="Changed"))),
    "PATCH /agents/{agent_id} available": Access(
        ok=MANAGE | {MEMBER}, forbidden=CAMPAIGNS, sends=json_(available=False)
    ),
    "DELETE /agents/{agent_id}": Access(ok=MANAGE, forbidden=CAMPAIGNS, path=lambda w: {"agent_id": w.unused_agent_id}),
    # --- conversations ---
    "GET /conversations": _signed_in(),
    "POST /conversations": _signed_in(lambda _: {"json_body": {"title": "New"}}),
    "POST /conversations direct": _signed_in(lambda w: {"json_body": {"user_id": str(w.newcomer.id)}}),
    "GET /conversations/unread": _signed_in(),
    "GET /conversations/{conversation_id}": Access(ok=TALK),
    **_both("/conversations/{conversation_id}", Access(ok=OWNER_ALONE, forbidden=TALK, sends=json_(title="Changed"))),
    "DELETE /conversations/{conversation_id}": Access(ok=OWNER_ALONE, forbidden=TALK),
    "GET /conversations/{conversation_id}/members": Access(ok=TALK),
    "POST /conversations/{conversation_id}/members": Access(
        ok=OWNER_ALONE, forbidden=TALK, sends=lambda w: {"json_body": {"user_ids": [str(w.newcomer.id)]}}
    ),
    "DELETE /conversations/{conversation_id}/members/{user_id}": Access(
        ok=TALK, path=lambda w: {"user_id": w.member.id}
    ),
    "DELETE /conversations/{conversation_id}/members/{user_id} owner": Access(ok=OWNER_ALONE, forbidden=TALK),
    "PUT /conversations/{conversation_id}/read": Access(
        ok=TALK, sends=lambda w: {"json_body": {"message_id": str(w.message_id)}}
    ),
    "GET /conversations/{conversation_id}/messages": Access(ok=TALK),
    "POST /conversations/{conversation_id}/messages": Access(ok=TALK, sends=json_(text="Hello")),
    "GET /messages/search": _signed_in(lambda _: {"query": {"q": "hello"}}),
    "GET /messages/search conversation": Access(
        ok=TALK, sends=lambda w: {"query": {"q": "hello", "conversation_id": str(w.conversation_id)}}
    ),
    "GET /messages/{message_id}": Access(ok=TALK),
    **_both("/messages/{message_id}", Access(ok=OWNER_ALONE, forbidden=TALK, sends=json_(text="Changed"))),
    "DELETE /messages/{message_id}": Access(ok=OWNER_ALONE, forbidden=TALK),
    "PUT /messages/{message_id}/reactions/{emoji}": Access(ok=TALK, path=_emoji),
    "DELETE /messages/{message_id}/reactions/{emoji}": Access(ok=TALK, path=_emoji),
    "GET /files/{file_id} attachment": Access(ok=TALK, path=_attachment),
    "GET /files/{file_id}/content attachment": Access(ok=TALK, path=_attachment),
    "GET /files/presign-download attachment": Access(
        ok=TALK, sends=lambda w: {"query": {"file_id": str(w.attachment_id)}}
    ),
    # --- courses: published ones are everybody's to see ---
    "GET /courses": _public(),
    "GET /courses enrolled": _signed_in(lambda _: {"query": {"enrolled": "true"}}),
    "POST /courses": Access(ok=COURSES, others=403, sends=json_(title="New")),
    "GET /courses/{course_id}": _public(),
    "GET /courses/{course_id} draft": Access(ok=STUDY, anonymous=404, path=_draft),
    **_both("/courses/{course_id}", Access(ok=SELF, others=403, sends=json_(title="Changed"))),
    "PATCH /courses/{course_id} draft": Access(ok=SELF, forbidden=STUDY, sends=json_(capacity=2), path=_draft),
    "DELETE /courses/{course_id}": Access(ok=SELF, others=403),
    "DELETE /courses/{course_id} draft": Access(ok=SELF, forbidden=STUDY, path=_draft),
    "DELETE /courses/{course_id} purge": Access(ok=ADMIN, others=403, sends=lambda _: {"query": {"purge": "true"}}),
    "POST /courses/{course_id}/enroll": _signed_in(),
    "GET /courses/{course_id}/enroll": Access(ok=frozenset({MEMBER})),
    "DELETE /courses/{course_id}/enroll": _signed_in(),
    "DELETE /courses/{course_id}/enroll draft": Access(ok=STUDY, path=_draft),
    "GET /courses/{course_id}/enrollments": Access(ok=SELF, others=403),
    "POST /courses/{course_id}/enrollments": Access(
        ok=SELF, others=403, sends=lambda w: {"json_body": {"user_ids": [str(w.newcomer.id)]}}
    ),
    "DELETE /courses/{course_id}/enrollments/{user_id}": Access(
        ok=SELF, others=403, path=lambda w: {"user_id": w.course_id and w.member.id}
    ),
    "GET /courses/{course_id}/lessons": Access(ok=STUDY, others=403),
    "GET /courses/{course_id}/lessons draft": Access(ok=STUDY, path=_draft),
    "POST /courses/{course_id}/lessons": Access(ok=SELF, others=403, sends=json_(title="New")),
    "GET /courses/{course_id}/lessons/{lesson_id}": Access(ok=STUDY, others=403),
    **_both("/courses/{course_id}/lessons/{lesson_id}", Access(ok=SELF, others=403, sends=json_(title="Changed"))),
    "DELETE /courses/{course_id}/lessons/{lesson_id}": Access(ok=SELF, others=403),
    "PUT /courses/{course_id}/lessons/{lesson_id}/completion": Access(ok=frozenset({MEMBER}), others=403),
    "DELETE /courses/{course_id}/lessons/{lesson_id}/completion": Access(ok=frozenset({MEMBER}), others=403),
    "GET /files/{file_id} lesson": Access(ok=STUDY, path=_lesson_file),
    "GET /files/{file_id}/content lesson": Access(ok=STUDY, path=_lesson_file),
    # --- webhooks ---
    "GET /webhooks": _signed_in(),
    "POST /webhooks": _signed_in(json_(url="https://example.com/hook", types=["division.removed"])),
    "GET /webhooks/{webhook_id}": Access(ok=OWNER_ALONE),
    **_both("/webhooks/{webhook_id}", Access(ok=OWNER_ALONE, sends=json_(description="Changed"))),
    "DELETE /webhooks/{webhook_id}": Access(ok=OWNER_ALONE),
    "POST /webhooks/{webhook_id}/rotate-secret": Access(ok=OWNER_ALONE),
    "POST /webhooks/{webhook_id}/test": Access(ok=OWNER_ALONE),
    "GET /webhooks/{webhook_id}/deliveries": Access(ok=OWNER_ALONE),
    "POST /webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver": Access(ok=OWNER_ALONE),
    # --- integrations: nobody else's are there ---
    "GET /integrations": _signed_in(),
    "POST /integrations": _signed_in(json_(service="meshy", api_key="a-key-of-the-actor")),
    "GET /integrations/callback/{name}": _public(lambda w: w.back_from_service(), path=lambda _: {"name": "github"}),
    "GET /integrations/{integration_id}": Access(ok=OWNER_ALONE),
    "DELETE /integrations/{integration_id}": Access(ok=OWNER_ALONE),
    "POST /integrations/{integration_id}/sync": Access(ok=OWNER_ALONE),
    "GET /integrations/{integration_id}/records": Access(ok=OWNER_ALONE),
    "GET /integrations/{integration_id}/requests": Access(ok=OWNER_ALONE),
    "POST /integrations/{integration_id}/requests": Access(
        ok=OWNER_ALONE, sends=json_(operation="github.repository", owner="octo", repository="engine")
    ),
    "GET /integrations/{integration_id}/requests/{request_id}": Access(ok=OWNER_ALONE),
    # --- notifications: everybody has their own ---
    "GET /notifications": _signed_in(),
    "GET /notifications/unread-count": _signed_in(),
    "POST /notifications/{notification_id}/read": Access(ok=OWNER_ALONE),
    "POST /notifications/read": _signed_in(json_()),
    "GET /notifications/preferences": _signed_in(),
    **_both("/notifications/preferences", _signed_in(json_(mention={"email": "off"}))),
    "GET /notifications/push-key": _signed_in(),
    "GET /notifications/push-subscriptions": _signed_in(),
    "POST /notifications/push-subscriptions": _signed_in(lambda _: {"json_body": subscription()}),
    "DELETE /notifications/push-subscriptions/{push_subscription_id}": Access(ok=OWNER_ALONE),
    "GET /notifications/unsubscribe": _public(_token_page),
    "POST /notifications/unsubscribe": _public(
        lambda w: _urlencoded("List-Unsubscribe=One-Click") | {"query": {"token": w.unsubscribe_token()}}
    ),
    # --- the assistant: of any id everybody has a conversation of their own ---
    "POST /ai": _signed_in(json_(task="format", text="# Hello")),
    "POST /ai/chat": _signed_in(lambda _: {"json_body": question("Hello?")}),
    "GET /ai/chat": _signed_in(),
    "GET /ai/chat/{chat_id}": Access(ok=OWNER_ALONE),
    "GET /ai/chat/{chat_id}/stream": _signed_in(),
    "POST /ai/chat/{chat_id}/stop": Access(ok=OWNER_ALONE),
    "DELETE /ai/chat/{chat_id}": Access(ok=OWNER_ALONE),
    # --- reports ---
    "GET /reports/campaigns/{campaign_id}": Access(ok=RUN, forbidden=WORK),
    "GET /reports/agents/{agent_id}": Access(ok=WORK, path=_working_agent),
    # --- real time ---
    "POST /realtime/tickets": _signed_in(),
    # --- search: everybody finds their own ---
    "GET /search": _signed_in(lambda _: {"query": {"q": "hello"}}),
    # --- the log, health, documentation ---
    "GET /events": _signed_in(),
    "GET /health": _public(),
    "GET /health/ready": _public(),
    "GET /openapi.json": _public(),
    "GET /asyncapi.json": _public(),
}
"""`METHOD /path`, and a word more where one operation has several meanings."""
