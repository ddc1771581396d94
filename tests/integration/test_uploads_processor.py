"""The processor: what S3 announces is checked once, whatever else S3 announces."""

import io
import threading
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from functions.upload_processor.objects import StoredObject
from infra.local.events import s3_notification, s3_test_event
from quintet import aws
from quintet.config import settings
from quintet.db.engine import owner_engine
from quintet.db.models.files import File
from quintet.db.partitions import uuid_at
from tests.support.api import Api
from tests.support.uploading import (
    PDF,
    PNG,
    announced,
    direct,
    key_of,
    presign,
    process,
    project_of,
    read,
    send,
    upload,
    versions,
)

JAPANESE = "名簿 + 最新.csv"


def workbook() -> bytes:
    """The outside of an Excel workbook."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in ("[Content_Types].xml", "xl/worksheets/sheet1.xml", "xl/workbook.xml"):
            archive.writestr(name, "<x/>")
    return content.getvalue()


def events_of(file_id: str) -> list[Any]:
    """What happened to the file."""
    with owner_engine().begin() as connection:
        return list(
            connection.exec_driver_sql(
                "SELECT e.type, e.scope, e.data, array_remove(array_agg(d.destination), NULL) AS destinations "
                "FROM events e LEFT JOIN deliveries d ON d.event_id = e.id WHERE subject_id = %(id)s "
                "GROUP BY e.id, e.type, e.scope, e.data ORDER BY e.id",
                {"id": UUID(file_id)},
            )
        )


# --- what is accepted ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "declared", "content", "detected"),
    [
        ("a.pdf", "application/pdf", PDF, "application/pdf"),
        ("a.pdf", "application/octet-stream", PDF, "application/pdf"),
        ("a.png", "IMAGE/PNG; q=1", PNG, "image/png"),
        ("a.jpg", "image/jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "image/jpeg"),
        (JAPANESE, "text/csv; charset=utf-16", "氏名,年\n".encode("utf-16"), "text/csv"),
        (JAPANESE, "application/vnd.ms-excel", "name;año\n".encode("cp1252"), "text/csv"),
    ],
)
def test_given_a_true_declaration_when_the_object_arrives_then_ready(
    user: Api, name: str, declared: str, content: bytes, detected: str
) -> None:
    project = project_of(user)
    file = upload(user, content, file_name=name, content_type=declared, project_id=project)
    assert (file["status"], file["detected_type"], file["reason"]) == ("ready", detected, None)
    assert file["uploaded_at"] is not None
    ready = events_of(file["id"])[-1]
    assert (ready.type, ready.scope) == ("file.ready", f"project:{project}")
    assert ready.data == {"content_type": detected, "size": len(content)}


@pytest.mark.parametrize(
    ("content", "name", "status"),
    [
        (workbook(), "a.xlsx", "ready"),
        (b"a,b\n1,2\n", "a.csv", "ready"),
        (b"a\tb\n1\t2\n", "a.tsv", "ready"),
        (PNG, "a.csv", "rejected"),
        (b"<html><script>1</script>", "a.csv", "rejected"),
    ],
)
def test_given_campaign_data_then_tables_are_accepted_and_nothing_else(
    user: Api, content: bytes, name: str, status: str
) -> None:
    assert upload(user, content, file_name=name, purpose="campaign_data")["status"] == status


# --- what is rejected ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("purpose", "declared", "content", "reason"),
    [
        ("asset", "image/png", PDF, "The file says it is a PNG image, but it is a PDF."),
        ("asset", "image/png", b"no image", "The file says it is a PNG image, but it is text."),
        ("asset", "application/pdf", bytes(99), "The file says it is a PDF, but it is of no known type."),
        (
            "asset",
            "application/octet-stream",
            b"MZ\x90\x00" + bytes(99),
            "The file is a Windows program, which is not accepted for the purpose asset.",
        ),
        (
            "attachment",
            "application/octet-stream",
            b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "The file is an SVG image, which is not accepted for the purpose attachment.",
        ),
        (
            "campaign_data",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            b"PK\x03\x04" + bytes(99),
            "The file says it is an Excel workbook, but it is a ZIP archive, or a workbook that is cut off.",
        ),
    ],
)
def test_given_a_lie_or_what_the_purpose_refuses_then_rejected_with_a_reason_and_the_object_goes(
    user: Api, purpose: str, declared: str, content: bytes, reason: str
) -> None:
    file = upload(user, content, content_type=declared, purpose=purpose)
    assert (file["status"], file["reason"], file["download_url"]) == ("rejected", reason, None)
    assert versions(file["id"]) == []
    rejected = events_of(file["id"])[-1]
    assert (rejected.type, rejected.data) == ("file.rejected", {"reason": reason})
    assert "email" in rejected.destinations
    assert rejected.scope == f"user:{user.id}"


@pytest.mark.parametrize(
    ("arrives", "reason"),
    [
        (b"", "The file is empty."),
        (PDF + b"x", f"The file has {len(PDF) + 1} bytes, but {len(PDF)} were announced."),
        (PDF[:-1], f"The file has {len(PDF) - 1} bytes, but {len(PDF)} were announced."),
    ],
)
def test_given_another_size_than_announced_when_the_object_arrives_then_rejected(
    user: Api, arrives: bytes, reason: str
) -> None:
    form = presign(user, PDF).json()
    send(form, arrives)
    process(announced(form["file_id"]))
    file = read(user, form["file_id"])
    assert (file["status"], file["reason"], versions(file["id"])) == ("rejected", reason, [])


# --- the queue -------------------------------------------------------------------------------------------


def test_given_the_same_announcement_again_then_nothing_more_happens(user: Api) -> None:
    form = presign(user, PDF).json()
    message = announced(form["file_id"], send(form, PDF), sequencer="01")
    assert process(message, message) == []
    before, events = read(user, form["file_id"]), events_of(form["file_id"])
    assert process(message) == []
    assert read(user, form["file_id"])["version"] == before["version"] == 2
    assert events_of(form["file_id"]) == events


def test_given_a_form_used_twice_then_the_checked_version_stays_and_the_later_one_is_deleted(user: Api) -> None:
    form = presign(user, PDF, content_type="application/pdf").json()
    first = send(form, PDF)
    process(announced(form["file_id"], first))
    second = send(form, PDF[:-1] + b"!")
    assert process(announced(form["file_id"], second)) == []
    assert versions(form["file_id"]) == [first]
    file = read(user, form["file_id"])
    assert (file["status"], f"versionId={first}" in file["download_url"]) == ("ready", True)


def test_given_two_versions_announced_in_the_other_order_then_one_is_ready_and_the_other_deleted(user: Api) -> None:
    form = presign(user, PDF).json()
    first, second = send(form, PDF), send(form, PDF)
    messages = [announced(form["file_id"], second, sequencer="02"), announced(form["file_id"], first, sequencer="01")]
    assert process(*messages, *messages) == []
    assert versions(form["file_id"]) == [second]
    file = read(user, form["file_id"])
    assert (file["status"], f"versionId={second}" in file["download_url"]) == ("ready", True)
    assert [event.type for event in events_of(form["file_id"])] == ["file.upload_requested", "file.ready"]


def test_given_a_rejected_file_when_another_version_comes_then_it_is_deleted_and_nothing_changes(user: Api) -> None:
    form = presign(user, PNG, content_type="image/png").json()
    process(announced(form["file_id"], send(form, PDF[: len(PNG)].ljust(len(PNG)))))
    assert read(user, form["file_id"])["status"] == "rejected"
    process(announced(form["file_id"], send(form, PNG)))
    assert (read(user, form["file_id"])["status"], versions(form["file_id"])) == ("rejected", [])


def test_given_a_crash_before_a_rejected_object_is_deleted_then_the_message_deletes_it_when_it_comes_again(
    user: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = presign(user, PDF, content_type="image/png").json()
    message = announced(form["file_id"], send(form, PDF))
    with monkeypatch.context() as crash:
        crash.setattr("functions.upload_processor.service.delete_version", lambda *_: 1 / 0)
        assert len(process(message)) == 1
    assert (read(user, form["file_id"])["status"], len(versions(form["file_id"]))) == ("rejected", 1)
    assert process(message) == []
    assert versions(form["file_id"]) == []
    assert [event.type for event in events_of(form["file_id"])].count("file.rejected") == 1


def test_given_what_the_dispatcher_sends_without_a_sequencer_or_version_then_it_is_checked(user: Api) -> None:
    file_id = direct(user, b"hello").json()["id"]
    message = announced(file_id)
    item = message["Records"][0]["s3"]["object"]
    del item["sequencer"]
    item["versionId"] = None
    assert process(message, message) == []
    file = read(user, file_id)
    assert (file["status"], versions(file_id)[0] in file["download_url"]) == ("ready", True)


def test_given_the_test_event_of_s3_then_it_is_ignored(stack: object) -> None:
    assert process(s3_test_event(settings().files_bucket)) == []


def test_given_several_records_in_a_message_then_each_is_checked(user: Api) -> None:
    forms = [presign(user, PDF).json() for _ in range(3)]
    records = [announced(form["file_id"], send(form, PDF))["Records"][0] for form in forms]
    assert process({"Records": records}) == []
    assert {read(user, form["file_id"])["status"] for form in forms} == {"ready"}


def test_given_other_kinds_of_event_then_they_are_ignored(user: Api) -> None:
    form = presign(user, PDF).json()
    send(form, PDF)
    assert process(announced(form["file_id"], event_name="ObjectRemoved:Delete")) == []
    assert read(user, form["file_id"])["status"] == "pending"


def test_given_one_bad_message_in_a_batch_then_only_that_one_comes_again(user: Api) -> None:
    form = presign(user, PDF).json()
    send(form, PDF)
    assert len(process("not json", announced(form["file_id"]), {"Records": [{}]})) == 2
    assert read(user, form["file_id"])["status"] == "ready"


@pytest.mark.parametrize(
    "key", ["uploads/日本語 + 100%.txt", "uploads/a%2Fb", "elsewhere/x", "uploads/", "uploads/x/y"]
)
def test_given_an_object_that_is_none_of_ours_then_it_is_left_alone(stack: object, key: str) -> None:
    bucket = settings().files_bucket
    version = aws.s3().put_object(Bucket=bucket, Key=key, Body=b"x")["VersionId"]
    assert process(s3_notification(bucket, key, version_id=version)) == []
    assert aws.s3().head_object(Bucket=bucket, Key=key)["VersionId"] == version


def test_given_an_object_of_a_file_deleted_long_ago_when_it_arrives_then_it_is_deleted(stack: object) -> None:
    bucket = settings().files_bucket
    id = UUID(int=uuid_at(datetime.now(UTC) - timedelta(minutes=2)).int | uuid4().int % 2**62)
    version = aws.s3().put_object(Bucket=bucket, Key=key_of(str(id)), Body=b"x")["VersionId"]
    assert process(s3_notification(bucket, key_of(str(id)), version_id=version)) == []
    assert versions(str(id)) == []


def test_given_an_object_whose_row_never_comes_when_it_is_new_then_the_message_comes_again(stack: object) -> None:
    bucket = settings().files_bucket
    id = UUID(int=uuid_at(datetime.now(UTC)).int | uuid4().int % 2**62)
    version = aws.s3().put_object(Bucket=bucket, Key=key_of(str(id)), Body=b"x")["VersionId"]
    assert len(process(s3_notification(bucket, key_of(str(id)), version_id=version))) == 1
    assert versions(str(id)) == [version]


def test_given_an_object_that_is_announced_before_its_row_is_committed_then_it_is_waited_for(user: Api) -> None:
    threads, failed = [], []

    def announce(session: Session) -> None:
        file_id = session.execute(select(File.id).where(File.owner_id == user.id)).scalar_one()
        threads.append(threading.Thread(target=lambda: failed.extend(process(announced(str(file_id))))))
        threads[0].start()
        threads[0].join(0.3)
        assert threads[0].is_alive()

    event.listen(Session, "before_commit", announce, once=True)
    file_id = direct(user, b"hello").json()["id"]
    threads[0].join()
    assert failed == []
    assert read(user, file_id)["status"] == "ready"


def test_given_a_version_that_is_gone_again_then_the_file_stays_pending(user: Api) -> None:
    form = presign(user, PDF).json()
    version = send(form, PDF)
    aws.s3().delete_object(Bucket=settings().files_bucket, Key=key_of(form["file_id"]), VersionId=version)
    assert process(announced(form["file_id"], version)) == []
    assert read(user, form["file_id"])["status"] == "pending"


def test_given_a_large_object_then_no_more_of_it_is_read_than_its_ends(user: Api) -> None:
    asked: list[str] = []

    def note(params: Any, **_: Any) -> None:
        asked.append(params["headers"]["Range"])

    aws.s3().meta.events.register("before-call.s3.GetObject", note)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("a.bin", bytes(300_000))
        made.writestr("xl/workbook.xml", "<x/>")
    content = archive.getvalue()
    file = upload(user, content, file_name="a.xlsx")
    assert file["detected_type"].endswith("spreadsheetml.sheet")
    assert asked == ["bytes=0-65535", f"bytes={len(content) - 65536}-{len(content) - 1}"]
    aws.s3().meta.events.unregister("before-call.s3.GetObject", note)


def test_given_storage_that_ignores_ranges_then_the_bytes_asked_for_are_found_all_the_same(stack: object) -> None:
    content = bytes(3_000_000) + b"the end"
    with Stubber(aws.s3()) as storage:
        storage.add_response("get_object", {"Body": StreamingBody(io.BytesIO(content), len(content))})
        stored = StoredObject("bucket", "key", "1", len(content), None, None)
        assert stored.read(len(content) - 7, 7) == b"the end"
