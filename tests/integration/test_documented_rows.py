"""The contract: every row of every product's documents, as written there and by each prefix.

A row is a method, an address, and the status and kind of answer of a request that has everything right, which is the
one that `tests.support.access` has for the operation. A row that nobody serves any more, that answers anything else, or
without a field that is documented, fails. What is written as PUT or PATCH is asked by both.
"""

import re
from typing import Any
from urllib.parse import parse_qsl

import pytest

from functions.manifest import PREFIXES
from infra.local.events import Response
from tests.support.access import ACCESS, ANONYMOUS, OWNER, Access
from tests.support.api import Api
from tests.support.documented import operation_of
from tests.support.people import person
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("stack")

DOCUMENTED = {
    "livo-dev": """
        POST /auth/register 201 account
        POST /auth/login 200 token
        POST /auth/logout 204
        GET /users 200 [user]
        GET /users/{user_id} 200 user
        PUT /users/{user_id} 200 user
        DELETE /users/{user_id} 204
        GET /projects 200 [project]
        GET /projects?status=draft&owner={user_id}&q=project 200 [project]
        GET /projects/{project_id} 200 project
        POST /projects 201 project
        PUT /projects/{project_id} 200 project
        DELETE /projects/{project_id} 204
        DELETE /projects/{project_id}?purge=true 204""",
    "The MVP development platform": """
        GET /login?provider=github 303
        GET /login?provider=google 303
        GET /login/callback/github 200 token
        POST /login 200 token
        POST /logout 204
        GET /projects 200 [project]
        POST /projects 201 project
        GET /projects/{project_id} 200 project
        PUT /projects/{project_id} 200 project
        DELETE /projects/{project_id} 204
        POST /files 201 file
        GET /files 200 [file]
        GET /files/{file_id} 200 file
        PUT /files/{file_id} 200 file
        DELETE /files/{file_id} 204
        GET /integrations 200 [integration]
        POST /integrations 201 integration
        GET /integrations/{integration_id} 200 integration
        DELETE /integrations/{integration_id} 204
        POST /integrations/{integration_id}/sync 202 integration
        POST /integrations/{integration_id}/requests 202 request
        POST /ai 200 advice""",
    "EPOP": """
        POST /api/auth/login 200 token
        POST /api/auth/refresh 200 token
        POST /api/auth/logout 204
        POST /api/auth/password-reset 202
        POST /api/auth/password-reset/confirm 204
        GET /api/projects 200 [project]
        POST /api/projects 201 project
        GET /api/projects/{project_id} 200 project
        PUT /api/projects/{project_id} 200 project
        DELETE /api/projects/{project_id} 204
        GET /api/tasks?projectId={project_id} 200 [task]
        POST /api/tasks 201 task
        PUT /api/tasks/{task_id} 200 task
        GET /api/conversations 200 [conversation]
        POST /api/conversations 201 conversation
        GET /api/conversations/{conversation_id}/messages 200 [message]
        POST /api/conversations/{conversation_id}/messages 201 message
        GET /api/files/presign-upload 200 upload
        GET /api/files/presign-download 200 download
        POST /api/ai/chat 200 stream
        GET /api/admin/users 200 [user]
        POST /api/admin/users 201 user
        PUT /api/admin/users/{user_id} 200 user
        DELETE /api/admin/users/{user_id} 204""",
    "Welcomedly": """
        POST /api/auth/register 201 account
        POST /api/auth/login 200 token
        POST /api/auth/logout 204
        GET /api/users/{user_id} 200 user
        PATCH /api/users/{user_id} 200 user
        GET /api/campaigns 200 [campaign]
        POST /api/campaigns 201 campaign
        GET /api/campaigns/{campaign_id} 200 campaign
        PATCH /api/campaigns/{campaign_id} 200 campaign
        DELETE /api/campaigns/{campaign_id} 204
        POST /api/campaigns/{campaign_id}/data 202 import
        GET /api/campaigns/{campaign_id}/data/status 200 import
        GET /api/agents 200 [agent]
        POST /api/campaigns/{campaign_id}/assign 200 assignment
        GET /api/reports/campaigns/{campaign_id} 200 campaign_report
        GET /api/reports/agents/{agent_id} 200 agent_report""",
    "opencourse": """
        POST /api/v1/auth/register 201 account
        POST /api/v1/auth/login 200 token
        GET /api/v1/users/me 200 user
        PUT /api/v1/users/me 200 user
        GET /api/v1/courses 200 [course]
        POST /api/v1/courses 201 course
        GET /api/v1/courses/{course_id} 200 course
        PUT /api/v1/courses/{course_id} 200 course
        DELETE /api/v1/courses/{course_id} 204
        POST /api/v1/courses/{course_id}/enroll 201 enrollment
        DELETE /api/v1/courses/{course_id}/enroll 204""",
}
"""Product -> its rows. A path parameter is the name of the thing in `World`; a query is sent as it stands."""

FIELDS = {
    "account": "id email username full_name roles created_at",
    "user": "id email username full_name roles status created_at updated_at",
    "token": "access_token token_type expires_in",
    "project": "id title description owner_id status product_type settings created_at updated_at",
    "file": "id project_id folder_id file_name content_type size status uploaded_at",
    "upload": "file_id url method fields expires_at",
    "download": "file_id url expires_at",
    "integration": "id service status sync_status last_synced_at connected_at",
    "request": "id integration_id operation status result error",
    "advice": "task text provider",
    "task": "id project_id title description status assignee_id due_date created_at",
    "conversation": "id title is_group created_at",
    "message": "id conversation_id sender_id content attachments created_at",
    "campaign": "id name description status start_date end_date created_by created_at updated_at",
    "import": "id campaign_id file_id status uploaded_at processed_at",
    "agent": "id name email available created_at updated_at",
    "assignment": "assigned",
    "campaign_report": "campaign contacts imports activity activity_by_agent",
    "agent_report": "agent contacts activity activity_by_campaign",
    "course": "id title description created_by created_at",
    "enrollment": "id course_id status enrolled_at",
}
"""Kind of answer -> the fields that the products' documents have; `[kind]` is a list of such."""

WRITTEN: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("POST /auth/register", {"name": "Ada"}, {"full_name": "Ada"}),
    ("PATCH /users/{user_id}", {"name": "Ada"}, {"full_name": "Ada"}),
    ("PATCH /users/{user_id} roles", {"role": "viewer"}, {"roles": ["viewer"]}),
    ("PUT /admin/users/{user_id}", {"role": "viewer"}, {"roles": ["viewer"]}),
    ("POST /projects", {"title": "A"}, {"title": "A", "status": "draft"}),
    ("POST /projects", {"name": "A", "description": "B"}, {"title": "A", "description": "B"}),
    ("POST /projects", {"project_name": "A", "product_type": "physical_product"}, {"title": "A"}),
    ("PUT /projects/{project_id}", {"project_name": "A", "settings": {"a": 1}}, {"title": "A", "settings": {"a": 1}}),
    ("PUT /files/{file_id}", {"fileName": "b.txt"}, {"file_name": "b.txt"}),
    ("POST /tasks", {"projectId": "{project_id}", "title": "A"}, {"project_id": "{project_id}", "title": "A"}),
    ("PUT /tasks/{task_id}", {"assigneeId": None, "dueDate": "2027-01-31"}, {"due_date": "2027-01-31"}),
    ("POST /campaigns", {"name": "A", "startDate": "2027-01-31"}, {"name": "A", "start_date": "2027-01-31"}),
    ("POST /integrations", {"service_name": "meshy", "api_key": "a-key-of-theirs"}, {"service": "meshy"}),
]
"""Operation, fields as some product's clients send them, and what the answer has then."""

ROWS = [
    pytest.param(asked, *f"{rest} ".split(" ")[:3], id=f"{product}: {asked} {rest}")
    for product, rows in DOCUMENTED.items()
    for method, _, rest in (row.strip().partition(" ") for row in rows.strip().splitlines())
    for asked in (("PUT", "PATCH") if method in ("PUT", "PATCH") else (method,))
]


def allowed(world: World, access: Access) -> Api:
    """Somebody who may: whom the thing belongs to, else an administrator; nobody in particular where anybody may."""
    if ANONYMOUS in access.ok:
        return Api()
    return world.owner if OWNER in access.ok else person("admin")


@pytest.mark.parametrize("prefix", PREFIXES, ids=lambda prefix: prefix or "/")
@pytest.mark.parametrize(("method", "address", "status", "kind"), ROWS)
def test_given_a_documented_row_when_asked_properly_then_it_answers_as_documented_by_every_prefix(
    method: str, address: str, status: str, kind: str, prefix: str
) -> None:
    template, _, query = re.sub(r"^/api(/v1)?(?=/)", "", address).partition("?")
    operation = operation_of(method, template)
    assert operation is not None, "nothing serves this row"
    meaning = f"{operation.key} {query.partition('=')[0]}"  # `purge` is for others than the rest
    access, world = ACCESS.get(meaning, ACCESS[operation.key]), World()
    named = {**{name: getattr(world, name) for name in re.findall(r"\{(\w+)\}", address)}, **access.path(world)}
    if kind.startswith("["):
        assert getattr(world, f"{kind[1:-1]}_id"), "a list has something of the kind"
    parts = access.sends(world)
    if query:
        parts = {**parts, "query": parse_qsl(query.format_map(named))}
    elif "query" in parts:
        parts = {**parts, "query": list(parts["query"].items())}
    answer = allowed(world, access).request(method, prefix + template.format_map(named), **parts)
    assert answer.status == int(status), answer
    _has_fields(answer, kind)


def _has_fields(answer: Response, kind: str) -> None:
    if not kind:
        assert not answer.body
        assert (answer.status == 303) == bool(answer.header("location"))
        return
    if kind == "stream":
        assert str(answer.header("content-type")).startswith("text/event-stream")
        assert answer.header("x-vercel-ai-ui-message-stream") == "v1"
        return
    said = answer.json()
    if kind.startswith("["):
        assert said.keys() >= {"items", "next_cursor"}
        assert said["items"]
    for thing in said["items"] if kind.startswith("[") else [said]:
        assert set(FIELDS[kind.strip("[]")].split()) <= thing.keys()


@pytest.mark.parametrize(("operation", "sent", "answered"), WRITTEN)
def test_given_fields_as_a_product_has_them_then_they_are_taken(
    operation: str, sent: dict[str, Any], answered: dict[str, Any]
) -> None:
    method, path = operation.split()[:2]
    access, world = ACCESS[operation], World()
    named = {**{name: getattr(world, name) for name in re.findall(r"\{(\w+)\}", path)}, **access.path(world)}
    sent, answered = ({k: _filled(v, world) for k, v in fields.items()} for fields in (sent, answered))
    if path == "/auth/register":
        sent = {**access.sends(world)["json_body"], **sent}
        del sent["full_name"]
    answer = allowed(world, access).request(method, path.format_map(named), json_body=sent)
    assert answer.status in (200, 201), answer
    said = answer.json()
    assert {name: said[name] for name in answered} == answered


def _filled(value: Any, world: World) -> Any:
    return str(getattr(world, value[1:-1])) if isinstance(value, str) and value.startswith("{") else value
