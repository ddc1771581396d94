"""All of a person's data as one archive: complete, theirs alone, without secrets, made once."""

import secrets

import pytest

from functions.exporter import multipart
from functions.exporter.archive import _safe
from quintet import aws
from quintet.config import settings
from quintet.db.models import every_table
from quintet.db.session import reading
from quintet.events.types import EventType
from quintet.personal import PERSONAL
from tests.support.api import Api, events_about
from tests.support.browsers import subscription
from tests.support.conversing import group
from tests.support.mailroom import deliver, happened_already, listening
from tests.support.people import person
from tests.support.personal import (
    archive_of,
    export_again,
    maintain,
    rows_in,
    tables_of_people,
    work_off_exports,
)
from tests.support.statements import counted, execute
from tests.support.uploading import received, work_off
from tests.support.world import CONTENT, World

pytestmark = pytest.mark.usefixtures("stack", "own_queues")


@pytest.fixture
def world() -> World:
    """One of everything of the owner's."""
    world = World()
    for name in (
        *("task_id", "folder_id", "file_id", "contact_id", "import_id", "message_id", "attachment_id", "delivery_id"),
        *(
            "course_id",
            "lesson_id",
            "notification_id",
            "push_subscription_id",
            "division_id",
            "identity_id",
            "request_id",
            "chat_id",
        ),
    ):
        assert getattr(world, name)
    return world


def export(client: Api) -> None:
    """The client asks for an export, which is made."""
    asked = client.post("/users/me/export")
    assert (asked.status, asked.json()["status"]) == (202, "queued")
    assert work_off_exports()


# --- what is in it ---------------------------------------------------------------------------------------


def test_given_the_schema_then_every_table_that_knows_people_is_exported_or_says_why_not() -> None:
    assert tables_of_people() <= PERSONAL.keys() <= every_table().tables.keys()
    for table, kind in PERSONAL.items():
        assert bool(kind.exported) != bool(kind.left_out), table
        assert bool(kind.erased) != bool(kind.stays), table


@pytest.mark.parametrize("table", [table for table, kind in PERSONAL.items() if kind.exported])
def test_given_a_kind_then_an_archive_s_rows_are_those_of_the_person_alone(world: World, table: str) -> None:
    exported = PERSONAL[table].exported
    with reading() as session:
        nobody = session.connection().exec_driver_sql(exported, {"user": world.newcomer.id}).mappings().all()
    assert not nobody or table in ("sessions", "users", "user_roles")


def test_given_one_of_everything_when_exported_then_it_is_all_there(world: World) -> None:
    owner = world.owner
    export(owner)
    archive = archive_of(owner)
    assert archive.testzip() is None
    expected = {
        "users": owner.id,
        "projects": world.project_id,
        "tasks": world.task_id,
        "conversations": world.conversation_id,
        "messages": world.message_id,
        "files": world.file_id,
        "campaigns": world.campaign_id,
        "campaign_uploads": world.import_id,
        "courses": world.course_id,
        "oauth_identities": world.identity_id,
        "integrations": world.integration_id,
        "integration_requests": world.request_id,
        "notifications": world.notification_id,
        "webhooks": world.webhook_id,
        "push_subscriptions": world.push_subscription_id,
        "user_divisions": world.division_id,
        "sessions": world.session_id,
    }
    for table, id in expected.items():
        assert str(id) in [row["id"] for row in rows_in(archive, table)], table
    assert archive.read(f"files/{world.file_id}/a.txt") == CONTENT
    assert {row["type"] for row in rows_in(archive, "events")} >= {"file.upload_requested", "export.requested"}
    assert [row["chat_id"] for row in rows_in(archive, "ai_conversations")] == [str(world.chat_id)]
    assert {row["role"] for row in rows_in(archive, "ai_messages")} == {"user", "assistant"}
    [account] = rows_in(archive, "users")
    assert (account["email"], account["has_password"]) == (owner.user["email"], True)
    assert "messages.jsonl" in archive.read("README.txt").decode()
    # AND nothing that is somebody else's alone
    member = archive.namelist()
    assert not [name for name in member if name.startswith("files/") and str(world.newcomer.id) in name]
    assert str(world.member.user["email"]) not in "".join(
        archive.read(name).decode() for name in member if name.endswith(".jsonl")
    )


def test_given_secrets_of_every_kind_then_none_is_in_the_archive(world: World) -> None:
    owner = world.owner
    pushed = subscription()
    owner.post("/notifications/push-subscriptions", pushed)
    mailed = [world.mailed(purpose) for purpose in ("password_reset", "email_verification")]
    execute(
        "UPDATE webhooks SET secret = 'whsecret-of-hook', url = 'https://example.com/path-of-hook?token=tok-of-hook'"
        " WHERE id = %(id)s",
        id=world.webhook_id,
    )
    key = f"key-of-meshy-{secrets.token_hex(8)}"
    assert owner.post("/integrations", {"service": "meshy", "api_key": key}).status == 201
    [row] = execute("SELECT password_hash FROM users WHERE id = %(id)s", id=owner.id)
    hashes = execute("SELECT encode(hash, 'hex') AS h, encode(hash, 'base64') AS b FROM one_time_tokens")
    export(owner)
    archive = archive_of(owner)
    everything = b"\n".join(archive.read(name) for name in archive.namelist()).decode()
    for secret in (
        *(row.password_hash, owner.token, world.refresh_token(), world.unsubscribe_token(), *mailed),
        *(pushed["endpoint"], pushed["keys"]["auth"], pushed["keys"]["p256dh"]),
        *(key, "whsecret-of-hook", "path-of-hook", "tok-of-hook", "$argon2"),
        *(h for found in hashes for h in found),
    ):
        assert str(secret) not in everything


def test_given_what_others_do_about_somebody_then_their_archive_does_not_tell_from_where(user: Api) -> None:
    # GIVEN a colleague who takes them off a group, which is told in their own scope
    colleague = person()
    path = f"/conversations/{group(colleague, user)}/members/{user.id}"
    assert colleague.delete(path).status == 204
    export(user)
    told = rows_in(archive_of(user), "events")
    assert "conversation.member_removed" in {event["type"] for event in told}
    assert colleague.source_ip not in {event["ip"] for event in told}
    assert user.source_ip in {event["ip"] for event in told}


def test_given_somebody_who_has_left_a_project_then_their_archive_has_nothing_that_is_written_there_now(
    world: World,
) -> None:
    task = world.editor.post("/tasks", {"project_id": str(world.project_id), "title": "A plan"}).json()["id"]
    export(world.editor)
    assert task in {row["id"] for row in rows_in(archive_of(world.editor), "tasks")}
    members = f"/projects/{world.project_id}/members"
    assert world.owner.delete(f"{members}/{world.editor.id}").status == 204
    assert world.owner.patch(f"/tasks/{task}", {"description": "Not for everybody"}).status == 200
    export(world.editor)
    assert task not in {row["id"] for row in rows_in(archive_of(world.editor), "tasks")}


@pytest.mark.parametrize(
    ("name", "safe"),
    [("../../etc/passwd", "_.._etc_passwd"), ("..", "_"), ("a\\b\x00:c", "a_b__c"), ("ä b.txt", "ä b.txt")],
)
def test_given_any_name_of_a_file_then_it_leads_nowhere_else(name: str, safe: str) -> None:
    assert _safe(name) == safe


def test_given_much_then_it_is_sent_in_parts_and_never_held_as_a_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a file of three parts and a bit
    monkeypatch.setattr(multipart, "PART", 5 * 1024 * 1024)
    content = secrets.token_bytes(17 * 1024 * 1024)
    [row] = execute("SELECT bucket, key FROM files WHERE id = %(id)s", id=world.file_id)
    put = aws.s3().put_object(Bucket=row.bucket, Key=row.key, Body=content)
    execute("UPDATE files SET version_id = %(v)s WHERE id = %(id)s", v=put["VersionId"], id=world.file_id)
    sizes: list[int] = []

    def listen(params: dict[str, object], **_: object) -> None:
        body = params["Body"]
        assert isinstance(body, bytes)
        sizes.append(len(body))

    events = aws.s3().meta.events
    events.register("provide-client-params.s3.UploadPart", listen)
    try:
        export(world.owner)
    finally:
        events.unregister("provide-client-params.s3.UploadPart", listen)
    assert len(sizes) == 4
    assert max(sizes) == multipart.PART
    assert world.owner.get("/users/me/export").json()["size"] == sum(sizes)
    assert archive_of(world.owner).read(f"files/{world.file_id}/a.txt") == content


def test_given_more_rows_than_are_read_at_once_then_all_are_there(user: Api) -> None:
    execute(
        "INSERT INTO notifications (user_id, event_id, kind, scope, data, in_app, email) SELECT %(id)s, uuidv7(),"
        " 'mention', 'user:' || %(id)s::text, '{}', true, 'off' FROM generate_series(1, 2001)",
        id=user.id,
    )
    export(user)
    assert len({row["id"] for row in rows_in(archive_of(user), "notifications")}) == 2001


# --- once, whatever happens ------------------------------------------------------------------------------


def test_given_a_request_when_asked_again_then_it_is_the_same_until_it_is_ready(user: Api) -> None:
    assert user.get("/users/me/export").status == 404
    assert user.get("/users/me/export/content").status == 404
    first = user.post("/users/me/export")
    assert user.post("/users/me/export").json()["id"] == first.json()["id"]
    assert user.get("/users/me/export/content").status == 409
    assert user.get(str(first.header("location"))).json() == first.json()
    [message] = work_off_exports()
    ready = user.get("/users/me/export")
    assert (ready.json()["status"], ready.json()["id"]) == ("ready", first.json()["id"])
    assert user.get("/users/me/export", headers={"if-none-match": str(ready.header("etag"))}).status == 304
    # WHEN the queue delivers it again THEN nothing happens
    assert export_again([message, message]) == []
    assert user.get("/users/me/export").json() == ready.json()
    assert [type for type, _ in events_about(ready.json()["id"])] == ["export.requested", "export.ready"]
    with counted() as statements:
        user.get("/users/me/export")
    assert len(statements) == 2, statements
    assert user.post("/users/me/export").json()["id"] != first.json()["id"]


def test_given_an_export_that_was_killed_then_it_is_begun_again_and_leaves_no_parts(user: Api) -> None:
    # GIVEN somebody who died while parts were sent
    export_id = user.post("/users/me/export").json()["id"]
    row = execute("SELECT bucket, key FROM exports WHERE id = %(id)s", id=export_id)[0]
    begun = aws.s3().create_multipart_upload(Bucket=row.bucket, Key=row.key)["UploadId"]
    aws.s3().upload_part(Bucket=row.bucket, Key=row.key, UploadId=begun, PartNumber=1, Body=b"a part")
    execute("UPDATE exports SET status = 'running', upload_id = %(u)s WHERE id = %(id)s", u=begun, id=export_id)
    execute(
        "UPDATE deliveries SET lease_until = now() - interval '1 s', attempts = 1"
        " WHERE event_id = (SELECT id FROM events WHERE subject_id = %(id)s) AND destination = 'exports'",
        id=export_id,
    )
    # WHEN the message comes again
    assert work_off_exports()
    # THEN the archive is whole
    assert archive_of(user).testzip() is None
    uploads = aws.s3().list_multipart_uploads(Bucket=row.bucket, Prefix="exports/").get("Uploads", [])
    assert [upload for upload in uploads if upload["Key"] == row.key] == []


def test_given_storage_that_fails_in_the_middle_then_the_message_comes_again(
    user: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_id = user.post("/users/me/export").json()["id"]

    def fail(*_: object, **__: object) -> None:
        raise OSError("The line is cut.")

    monkeypatch.setattr(multipart.MultipartFile, "complete", fail)
    messages = received("exports")
    assert len(export_again(messages)) == 1
    assert user.get("/users/me/export").json()["status"] == "running"
    monkeypatch.undo()
    assert export_again(messages) == []
    assert user.get("/users/me/export").json()["status"] == "ready"
    assert [type for type, _ in events_about(export_id)] == ["export.requested", "export.ready"]


@pytest.mark.parametrize("who", ["its owner", "the daily run"])
def test_given_one_that_never_ends_then_after_a_day_it_has_failed_and_another_can_be_asked_for(
    user: Api, who: str
) -> None:
    stuck = user.post("/users/me/export").json()["id"]
    execute("UPDATE exports SET created_at = now() - interval '25 hours' WHERE id = %(id)s", id=stuck)
    if who == "its owner":
        assert user.post("/users/me/export").json()["id"] != stuck
    else:
        maintain()
        assert user.get("/users/me/export").json()["status"] == "failed"
    assert [type for type, _ in events_about(stuck)] == ["export.requested", "export.removed"]
    # AND who is at work on it after all leaves nothing behind
    export_again(received("exports"))
    [row] = execute("SELECT status, bucket, key FROM exports WHERE id = %(id)s", id=stuck)
    assert row.status == "failed"
    assert not aws.s3().list_object_versions(Bucket=row.bucket, Prefix=row.key).get("Versions")


# --- who gets it, and how long ---------------------------------------------------------------------------


def test_given_an_archive_then_an_email_says_where_its_owner_gets_it(user: Api) -> None:
    export(user)
    export_id = user.get("/users/me/export").json()["id"]
    with listening() as ses:
        assert deliver(happened_already(EventType.EXPORT_READY, export_id)) == []
    said = ses.only(user.user["email"])["Body"]["Text"]["Data"]
    assert f"GET {settings().api_url}/users/me/export/content" in said
    link = str(user.get("/users/me/export/content").header("location"))
    assert "X-Amz-Signature=" in link
    assert "quintet-" in link


def test_given_an_archive_when_a_week_has_passed_then_it_is_gone_and_so_is_its_object(user: Api) -> None:
    export(user)
    row = execute("SELECT id, bucket, key FROM exports WHERE user_id = %(id)s", id=user.id)[0]
    execute("UPDATE exports SET expires_at = now() - interval '1 s' WHERE id = %(id)s", id=row.id)
    assert user.get("/users/me/export/content").status == 410
    assert maintain()["exports_expired"] == 1
    assert work_off()
    left = aws.s3().list_object_versions(Bucket=row.bucket, Prefix=row.key)
    assert not left.get("Versions")
    assert user.get("/users/me/export").json()["status"] == "expired"
    assert maintain()["exports_expired"] == 0


def test_given_an_account_that_is_removed_for_good_then_its_archive_goes_too(user: Api) -> None:
    export(user)
    row = execute("SELECT bucket, key FROM exports WHERE user_id = %(id)s", id=user.id)[0]
    assert person("admin").delete(f"/users/{user.id}", query="purge=true").status == 204
    assert work_off()
    assert not aws.s3().list_object_versions(Bucket=row.bucket, Prefix=row.key).get("Versions")


def test_given_too_many_a_day_then_429(user: Api) -> None:
    statuses = [user.post("/users/me/export").status for _ in range(6)]
    assert statuses == [202] * 5 + [429]
