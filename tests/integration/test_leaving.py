"""Deleting one's own account: proof, a month to come back, and then nothing that tells who it was."""

import secrets
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from functions.maintenance import erasure
from functions.users.leaving.service import request_deletion
from quintet import aws
from quintet.db.session import writing
from quintet.errors import Unauthorized
from quintet.events.types import EventType
from quintet.identity.principal import Principal
from tests.support import campaigning
from tests.support.api import PASSWORD, Api, events_about
from tests.support.assisting import ask
from tests.support.conversing import direct, group, say, texts
from tests.support.expect import pointers
from tests.support.mailroom import deliver, happened_already, listening
from tests.support.people import person
from tests.support.personal import delete_me, maintain, month_later, places_with, restore_token
from tests.support.projects import created
from tests.support.statements import counted, execute
from tests.support.tasks import task
from tests.support.uploading import received, work_off
from tests.support.world import World, form

pytestmark = pytest.mark.usefixtures("stack", "own_queues")


def erase(*clients: Api) -> None:
    """A month has passed, and the daily run comes."""
    for client in clients:
        month_later(client)
    assert maintain()["accounts_erased"] >= len(clients)


def created_course(owner: Api, **fields: Any) -> str:
    """The id of a published course of `owner`."""
    owner.with_roles("instructor")
    made = owner.post("/courses", {"title": "A course", "status": "published", **fields})
    assert made.status == 201, made
    return str(made.json()["id"])


def row_of(client: Api) -> Any:
    """The account's row."""
    return execute("SELECT * FROM users WHERE id = %(id)s", id=client.id)[0]


# --- asking ----------------------------------------------------------------------------------------------


def test_given_the_password_when_deleting_oneself_then_the_account_is_disabled_and_signed_out(api: Api) -> None:
    user, admin = api.register(), person("admin")
    asked = delete_me(user)
    assert asked.status == 202
    assert asked.json()["erased_after"] > "2026"
    assert user.get("/users/me").status == 401
    assert api.post("/auth/refresh", {"refresh_token": user.refresh_token}).status == 401
    assert api.post("/auth/login", {"email": user.user["email"], "password": PASSWORD}).status == 401
    shown = admin.get(f"/users/{user.id}").json()
    assert shown["status"] == "disabled"
    assert shown["deletion_requested_at"] < asked.json()["erased_after"]
    assert events_about(user.id)[-1] == ("account.deletion_requested", {"sessions_ended": 1})
    assert maintain()["accounts_erased"] == 0


def test_given_a_wrong_password_then_400_and_the_attempt_is_recorded(user: Api) -> None:
    assert pointers(delete_me(user, "not the password 12")) == ["/password"]
    assert events_about(user.id)[-1][0] == "account.password_refused"
    assert user.get("/users/me").status == 200
    assert pointers(user.request("DELETE", "/users/me", json_body={"pasword": PASSWORD})) == ["/password", "/pasword"]


def test_given_no_password_then_a_sign_in_of_just_now_is_needed(user: Api) -> None:
    execute("UPDATE sessions SET issued_at = now() - interval '11 minutes' WHERE user_id = %(id)s", id=user.id)
    refused = delete_me(user, None)
    assert (refused.status, refused.json()["next"]["rel"]) == (403, "sign-in")
    execute("UPDATE sessions SET issued_at = now() - interval '9 minutes' WHERE user_id = %(id)s", id=user.id)
    assert delete_me(user, None).status == 202


def test_given_too_many_attempts_then_429(user: Api) -> None:
    statuses = [delete_me(user, "not the password 12").status for _ in range(11)]
    assert statuses == [400] * 10 + [429]


def test_given_the_last_administrator_then_409(stack: object) -> None:
    execute("DELETE FROM user_roles WHERE role_id = (SELECT id FROM roles WHERE name = 'admin')")
    last = person("admin")
    assert delete_me(last).status == 409
    person("admin")
    assert delete_me(last).status == 202


def test_given_a_project_that_others_would_be_left_without_an_owner_of_then_409_says_which(owner: Api) -> None:
    project, colleague = created(owner, title="Ours"), person()
    path = f"/projects/{project['id']}"
    owner.put(f"{path}/members/{colleague.id}", {"role": "editor"})
    refused = delete_me(owner)
    assert refused.status == 409
    assert refused.json()["errors"] == [{"pointer": f"/projects/{project['id']}", "detail": "Ours"}]
    assert owner.get("/users/me").status == 200
    owner.put(f"{path}/members/{colleague.id}", {"role": "owner"})
    assert delete_me(owner).status == 202
    # WHEN it is erased THEN the other owner has it
    erase(owner)
    assert colleague.get(path).json()["owner_id"] == str(colleague.id)
    assert [m["id"] for m in colleague.get(f"{path}/members").json()["items"]] == [str(colleague.id)]


@pytest.mark.parametrize("first_to_go", ["who made it", "who came later"])
def test_given_an_owner_who_has_left_before_then_the_next_one_cannot_while_others_work_there(
    owner: Api, first_to_go: str
) -> None:
    second, reader = person(), person()
    path = f"/projects/{created(owner)['id']}"
    for member, role in ((second, "owner"), (reader, "viewer")):
        assert owner.put(f"{path}/members/{member.id}", {"role": role}).status == 204
    gone, left = (owner, second) if first_to_go == "who made it" else (second, owner)
    assert delete_me(gone).status == 202
    assert delete_me(left).status == 409
    # AND where nobody else is left, nobody is left without an owner
    assert delete_me(reader).status == 202
    assert delete_me(left).status == 202


def test_given_an_account_that_is_disabled_since_the_caller_was_let_in_then_it_does_not_become_one_to_take_back(
    user: Api,
) -> None:
    caller = Principal(user_id=user.id, session_id=user.id, email="", email_verified=True, permissions=frozenset())
    assert person("admin").delete(f"/users/{user.id}").status == 204
    with pytest.raises(Unauthorized), writing() as session:
        request_deletion(session, caller, password=PASSWORD)
    assert row_of(user).deletion_requested_at is None


def test_given_a_deletion_then_it_takes_few_statements(user: Api) -> None:
    user.get("/users/me")
    with counted() as statements:
        assert delete_me(user).status == 202
    # the rate limit's count stands alone; roles, lock, heirs, change, sessions, event
    assert len(statements) <= 14, statements


# --- coming back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["page", "json"])
def test_given_the_mailed_link_when_used_then_the_account_is_as_before(api: Api, way: str) -> None:
    user = api.register()
    project = created(user, title="Mine")["id"]
    delete_me(user)
    token = restore_token(user)
    shown = api.get("/auth/account-restore/page", query=[("token", token)])
    assert b"Keep my account" in shown.body

    def restore() -> int:
        if way == "json":
            return api.post("/auth/account-restore/confirm", {"token": token}).status
        headers = {"content-type": "application/x-www-form-urlencoded"}
        body = f"token={token}".encode()
        return api.request("POST", "/auth/account-restore/page", body=body, headers=headers).status

    assert restore() in (200, 204)
    assert restore() == 400
    again = api.sign_in(user.user["email"])
    assert again.get(f"/projects/{project}").status == 200
    assert events_about(user.id)[-1][0] != "account.deletion_requested"
    assert "account.restored" in [type for type, _ in events_about(user.id)]
    execute("UPDATE users SET deletion_requested_at = NULL WHERE id = %(id)s AND status = 'disabled'", id=user.id)
    assert maintain()["accounts_erased"] == 0
    assert row_of(user).deletion_requested_at is None


def test_given_an_account_that_an_administrator_disabled_then_no_link_takes_it_back(api: Api) -> None:
    user, admin = api.register(), person("admin")
    delete_me(user)
    token = restore_token(user)
    assert admin.patch(f"/users/{user.id}", {"status": "active"}).status == 200
    assert row_of(user).deletion_requested_at is None
    assert admin.delete(f"/users/{user.id}").status == 204
    assert api.post("/auth/account-restore/confirm", {"token": token}).status == 400
    assert maintain()["accounts_erased"] == 0


def test_given_a_deleted_account_when_an_administrator_disables_it_then_the_link_works_no_more(api: Api) -> None:
    user, admin = api.register(), person("admin")
    delete_me(user)
    token = restore_token(user)
    assert admin.patch(f"/users/{user.id}", {"full_name": "Banned"}).status == 200
    assert admin.delete(f"/users/{user.id}").status == 204
    assert api.post("/auth/account-restore/confirm", {"token": token}).status == 400
    # AND it is erased all the same
    erase(user)
    assert row_of(user).full_name == "Deleted user"


# --- being erased ----------------------------------------------------------------------------------------


def test_given_an_account_with_everything_when_erased_then_nothing_tells_who_it_was_and_others_work_on(
    api: Api,
) -> None:
    # GIVEN somebody who uses everything
    mark = secrets.token_hex(6)
    name, username, device = f"Zaphod {mark}", f"zb-{mark}", f"HeartOfGold/{mark}"
    email = f"zaphod-{mark}@example.com"
    user = api.register(email=email, full_name=name, username=username)
    execute("UPDATE users SET email_verified_at = now() WHERE id = %(id)s", id=user.id)
    api.post("/auth/login", {"email": email, "password": PASSWORD}, headers={"user-agent": device})
    world = World()
    world.__dict__["owner"] = user
    kept = [
        *(world.task_id, world.folder_id, world.file_id, world.contact_id, world.import_id, world.message_id),
        *(world.attachment_id, world.delivery_id, world.notification_id, world.push_subscription_id),
        *(world.division_id, world.export_id, world.course_id, world.lesson_file_id),
        *(world.identity_id, world.integration_id, world.request_id),
    ]
    assert all(kept)
    member, editor = world.member, world.editor
    world.unsubscribe_token()
    agent_id = campaigning.agent(user, name=name)
    execute("UPDATE agents SET email = %(e)s WHERE id = %(id)s", e=email, id=agent_id)
    execute("UPDATE webhooks SET url = %(u)s WHERE owner_id = %(id)s", u=f"https://{mark}.example.com", id=user.id)
    alone = created(user, title=f"Diary of {name}")["id"]
    task(user, f"/projects/{alone}", title=f"Call {name}")
    diary = user.post("/files", **form(project_id=alone)).json()["id"]
    private = user.post("/files", **form()).json()["id"]
    execute("UPDATE files SET file_name = %(n)s WHERE id IN (%(a)s, %(b)s)", n=f"{name}.txt", a=diary, b=private)
    talk = direct(member, user)
    said = say(user, talk, "Good bye")["id"]
    taken = created_course(editor, capacity=1)
    for student in (user, member):
        assert student.post(f"/courses/{taken}/enroll").status < 300
    execute(
        "UPDATE oauth_identities SET subject = %(m)s, email = %(e)s WHERE user_id = %(id)s", m=mark, e=email, id=user.id
    )
    execute(
        "UPDATE integration_requests SET input = %(i)s::jsonb WHERE integration_id = %(of)s",
        i=f'{{"repository": "{username}/guide"}}',
        of=world.integration_id,
    )
    execute(
        "INSERT INTO integration_records (integration_id, kind, external_id, data)"
        " VALUES (%(i)s, 'repository', '1', jsonb_build_object('owner', %(u)s::text))",
        i=world.integration_id,
        u=username,
    )
    ask(user, f"Who is {name}?")
    own_group = group(user, member, editor)
    mention = {"type": "mention", "attrs": {"id": str(user.id)}}
    content = {"type": "doc", "content": [{"type": "paragraph", "content": [{"type": "text", "text": "Hi "}, mention]}]}
    mentioned = member.post(f"/conversations/{own_group}/messages", {"content": content})
    assert mentioned.status == 201
    assert f"@{name}" in mentioned.json()["text"]
    former, name = name, f"Beeblebrox {mark}"
    mine = task(editor, f"/projects/{world.project_id}", assignee_id=str(user.id))["id"]
    user.patch("/users/me", {"full_name": name, "time_zone": "Europe/Copenhagen"})
    editor_role = {"role": "owner"}
    assert user.put(f"/projects/{world.project_id}/members/{editor.id}", editor_role).status == 204
    execute("INSERT INTO suppressed_addresses VALUES (%(e)s, 'complaint')", e=f"other-{mark}@example.com")
    assert len(places_with(mark)) > 5
    objects = execute("SELECT bucket, key FROM files WHERE id IN (%(a)s, %(b)s)", a=diary, b=private)
    # WHEN they delete their account, and the month is over
    assert delete_me(user).status == 202
    restore_token(user)
    assert len(places_with(mark)) > 5
    erase(user)
    # THEN they are told so for the last time
    with listening() as ses:
        assert deliver(happened_already(EventType.ACCOUNT_ERASED, user.id)) == []
        assert deliver(happened_already(EventType.ACCOUNT_ERASED, user.id)) == []
    assert ses.only(email)["Subject"]["Data"] == "Your account is deleted"
    # AND nothing is left of them
    execute("DELETE FROM suppressed_addresses WHERE email = %(e)s", e=f"other-{mark}@example.com")
    assert places_with(mark, name, former, email, username, device) == []
    addresses = execute(
        "SELECT count(*) AS n FROM events WHERE (actor_id = %(id)s OR scope = 'user:' || %(id)s::text)"
        " AND ip IS NOT NULL",
        id=user.id,
    )
    assert addresses[0].n == 0
    assert work_off()
    for row in objects:
        assert not aws.s3().list_object_versions(Bucket=row.bucket, Prefix=row.key).get("Versions")
    [left] = execute("SELECT status, sealed FROM integrations WHERE user_id = %(id)s", id=user.id)
    assert (left.status, left.sealed) == ("disconnected", None)
    assert received("integrations")
    # AND everything works for the others
    project = f"/projects/{world.project_id}"
    assert editor.get(project).json()["owner_id"] == str(editor.id)
    assert str(user.id) not in [m["id"] for m in editor.get(f"{project}/members").json()["items"]]
    assert editor.get(f"/tasks/{mine}").json()["assignee_id"] is None
    assert editor.get(f"/files/{world.file_id}").status == 200
    assert member.get(f"/files/{world.attachment_id}").status == 200
    assert member.get(f"/files/{world.lesson_file_id}").status == 200
    assert member.get(f"/courses/{taken}/enroll").json()["status"] == "active"
    assert texts(member, talk) == ["Good bye"]
    page = member.get(f"/conversations/{talk}/messages").json()["items"]
    assert [(m["id"], m["sender_name"]) for m in page if "sender_name" in m] in ([], [(said, "Deleted user")])
    assert texts(member, own_group) == ["Hi @Deleted user"]
    members = member.get(f"/conversations/{own_group}/members").json()["items"]
    assert {m["id"]: m["role"] for m in members} in (
        {str(member.id): "owner", str(editor.id): "member"},
        {str(member.id): "member", str(editor.id): "owner"},
    )
    assert member.get(f"/campaigns/{world.campaign_id}").status == 200
    assert say(member, talk, "Anybody there?")
    # AND it stays so
    admin = person("admin")
    gone = admin.get(f"/users/{user.id}").json()
    assert (gone["full_name"], gone["status"], gone["roles"]) == ("Deleted user", "disabled", [])
    assert admin.patch(f"/users/{user.id}", {"status": "active"}).status == 409
    assert maintain()["accounts_erased"] == 0
    assert api.register(email=email).id != user.id
    with_data = [(type, data) for type, data in events_about(user.id) if type == "account.erased"]
    assert with_data == [("account.erased", {})]


def test_given_a_run_that_died_halfway_then_the_next_one_goes_on(user: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    private, other = user.post("/files", **form()).json()["id"], person()
    mine = [created(user, title="Mine")["id"] for _ in range(2)]
    talk = direct(other, user)
    mention = {"type": "mention", "attrs": {"id": str(user.id)}}
    hello = {"type": "doc", "content": [{"type": "paragraph", "content": [mention]}]}
    assert other.post(f"/conversations/{talk}/messages", {"content": hello}).status == 201
    for leaving in (user, other):
        delete_me(leaving)
        month_later(leaving)
    goes_well = erasure._leave_projects

    def die(session: Session, user_id: UUID) -> None:
        if user_id == user.id:
            raise RuntimeError("The line is cut.")
        goes_well(session, user_id)

    monkeypatch.setattr(erasure, "_leave_projects", die)
    with pytest.raises(RuntimeError, match="accounts_erased"):
        maintain()
    assert row_of(user).erased_at is None
    assert row_of(user).full_name == "Test Person"
    # what can be much is done by then
    [message] = execute("SELECT text FROM messages WHERE conversation_id = %(id)s", id=talk)
    assert message.text == "@Deleted user"
    for project in mine:
        assert [type for type, _ in events_about(project)] == ["project.created", "project.purged"]
        assert execute("SELECT FROM projects WHERE id = %(id)s", id=project) == []
    assert row_of(other).full_name == "Deleted user"
    monkeypatch.undo()
    assert maintain()["accounts_erased"] == 1
    assert row_of(user).full_name == "Deleted user"
    assert execute("SELECT count(*) AS n FROM files WHERE id = %(id)s", id=private)[0].n == 0


def test_given_more_accounts_than_a_hundred_then_all_are_erased(stack: object) -> None:
    execute(
        "INSERT INTO users (email, full_name, status, deletion_requested_at)"
        " SELECT uuidv7() || '@example.com', 'One of many', 'disabled', now() - interval '40 days'"
        " FROM generate_series(1, 101)"
    )
    assert maintain()["accounts_erased"] >= 101


def test_given_an_address_that_bounced_then_nobody_says_goodbye_and_it_is_forgotten(user: Api) -> None:
    email = user.user["email"]
    delete_me(user)
    execute("INSERT INTO suppressed_addresses VALUES (%(e)s, 'bounce')", e=email)
    erase(user)
    with listening() as ses:
        assert deliver(happened_already(EventType.ACCOUNT_ERASED, user.id)) == []
    assert ses.requests == []
    assert places_with(email) == []
