"""Uploads: through the API when small, by a presigned form when not."""

import base64
import hashlib
import json
from typing import Any
from uuid import uuid4

import pytest

from functions.files.stored.schemas import FileRead
from functions.files.uploads.schemas import PresignedUpload
from quintet import aws
from quintet.config import settings
from quintet.db.engine import owner_engine
from quintet.db.models.files import FilePurpose
from quintet.files.purposes import GB, MB, PURPOSES
from quintet.files.storage import MAX_DIRECT
from tests.support.api import Api
from tests.support.people import person
from tests.support.statements import counted
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

JAPANESE = "報告書 2026年 + 最終版.pdf"


def sha256(content: bytes) -> str:
    """As S3 writes it."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


# --- presigned -------------------------------------------------------------------------------------------


def test_given_a_description_when_presigning_then_the_form_binds_it_in_six_statements(user: Api) -> None:
    user.get("/files")  # public keys are known from here on
    with counted() as statements:
        answer = presign(user, PDF, file_name=JAPANESE, content_type="application/pdf", sha256=sha256(PDF))
    assert len(statements) == 6, statements
    form = PresignedUpload.model_validate_json(answer.body, strict=True)
    policy = json.loads(base64.b64decode(form.fields["policy"]))
    bound: list[Any] = [
        {"key": key_of(str(form.file_id))},
        {"bucket": settings().files_bucket},
        {"Content-Type": "application/pdf"},
        {"x-amz-checksum-algorithm": "SHA256"},
        {"x-amz-checksum-sha256": sha256(PDF)},
        ["content-length-range", len(PDF), len(PDF)],
    ]
    assert all(condition in policy["conditions"] for condition in bound)
    # Every field that is sent is bound: S3 refuses others.
    named = {name for condition in policy["conditions"] if isinstance(condition, dict) for name in condition}
    assert set(form.fields) - named == {"policy", "x-amz-signature"}
    file = read(user, str(form.file_id))
    assert (file["status"], file["file_name"], file["sha256"]) == ("pending", JAPANESE, sha256(PDF))


@pytest.mark.parametrize("prefix", ["/api/v1", "/api", ""])
def test_given_any_prefix_when_presigning_then_it_is_the_same_route(user: Api, prefix: str) -> None:
    query = [("file_name", "a"), ("size", "7")]
    assert user.get(f"{prefix}/files/presign-upload", query=query).status == 200


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"size": "0"}, "query/size"),
        ({"size": "-1"}, "query/size"),
        ({"size": "9" * 400}, "query/size"),
        ({"size": "1.5"}, "query/size"),
        ({"file_name": "a/b"}, "query/file_name"),
        ({"file_name": ""}, "query/file_name"),
        ({"file_name": "a\x00"}, "query/file_name"),
        ({"content_type": "png"}, "query/content_type"),
        ({"content_type": "image/png\r\nx: y"}, "query/content_type"),
        ({"content_type": "text/html", "purpose": "attachment"}, "query/content_type"),
        ({"content_type": "application/x-sh"}, "query/content_type"),
        ({"sha256": "abc"}, "query/sha256"),
        ({"sha256": "é" * 44}, "query/sha256"),
        ({"purpose": "fun"}, "query/purpose"),
        ({"project_id": "x"}, "query/project_id"),
        ({"project_id": str(uuid4())}, "query/project_id"),
        ({"folder_id": str(uuid4())}, "query/folder_id"),
    ],
)
def test_given_a_bad_description_when_presigning_then_400_names_it_and_nothing_is_written(
    user: Api, more: dict[str, str], pointer: str
) -> None:
    answer = presign(user, 7, **more)
    assert (answer.status, answer.json()["errors"][0]["pointer"]) == (400, pointer)
    assert user.get("/files").json()["items"] == []


def test_given_an_empty_file_when_announcing_it_then_400_says_so(user: Api) -> None:
    for answer in (presign(user, 0), user.post("/files/multipart", {"file_name": "a", "size": 0}), direct(user, b"")):
        assert answer.status == 400
        assert "empty file cannot be uploaded" in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize("purpose", PURPOSES)
def test_given_the_limit_of_a_purpose_then_it_may_be_that_large_and_not_a_byte_larger(
    user: Api, purpose: FilePurpose
) -> None:
    limit = PURPOSES[purpose].max_size
    assert presign(user, limit, purpose=purpose).status == 200
    new = {"file_name": "a", "size": limit, "purpose": purpose}
    assert user.post("/files/multipart", new).status == 201
    over = presign(user, limit + 1, purpose=purpose)
    assert (over.status, str(limit) in over.json()["detail"]) == (413, True)
    assert user.post("/files/multipart", {**new, "size": limit + 1}).status == 413


def test_given_the_limits_then_they_are_those_promised() -> None:
    assert {name: purpose.max_size for name, purpose in PURPOSES.items()} == {
        "asset": 5 * GB,
        "attachment": 100 * MB,
        "campaign_data": 2 * GB,
    }


@pytest.mark.parametrize("place", ["own", "project"])
def test_given_all_the_bytes_an_account_may_have_under_way_then_409_until_one_is_given_up(
    user: Api, place: str
) -> None:
    where: dict[str, Any] = {"project_id": project_of(user)} if place == "project" else {}
    pending = [presign(user, 5 * GB, **where).json()["file_id"] for _ in range(10)]
    new = {"file_name": "a", "size": 1, **where}
    for answer in (presign(user, 1, **where), user.post("/files/multipart", new), direct(user, b"x", **where)):
        assert answer.status == 409
        assert answer.json()["next"]["href"].endswith("/files?status=pending")
    # THEN the way out leads to what can be deleted, and nobody else is held up
    assert {file["id"] for file in user.get("/files", query=[("status", "pending")]).json()["items"]} == set(pending)
    assert presign(person(), 1).status == 200
    assert user.delete(f"/files/{pending[0]}").status == 204
    assert presign(user, 5 * GB, **where).status == 200
    assert presign(user, 1, **where).status == 409


def test_given_as_many_uploads_as_an_account_may_have_under_way_then_409_until_one_has_come(user: Api) -> None:
    with owner_engine().begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO files (owner_id, file_name, bucket, key, content_type, size)"
            " SELECT %(id)s, 'a', 'b', gen_random_uuid(), 'a/b', 1 FROM generate_series(1, 999)",
            {"id": user.id},
        )
    last = presign(user, PDF)
    assert (last.status, presign(user, PDF).status) == (200, 409)
    send(last.json(), PDF)
    process(announced(last.json()["file_id"]))
    assert presign(user, PDF).status == 200


@pytest.mark.parametrize("form", ["base64", "hex"])
def test_given_a_checksum_in_either_form_when_the_content_matches_then_ready(user: Api, form: str) -> None:
    digest = sha256(PDF) if form == "base64" else hashlib.sha256(PDF).hexdigest()
    assert upload(user, PDF, sha256=digest)["status"] == "ready"


def test_given_a_checksum_when_the_content_differs_then_rejected(user: Api) -> None:
    form = presign(user, PDF, sha256=sha256(PDF)).json()
    send(form, PDF[::-1])
    process(announced(form["file_id"]))
    file = read(user, form["file_id"])
    assert (file["status"], "checksum" in file["reason"]) == ("rejected", True)


# --- through the API -------------------------------------------------------------------------------------


def test_given_a_small_file_when_uploading_then_it_is_stored_and_made_ready_by_the_queue(user: Api) -> None:
    project = project_of(user)
    answer = direct(user, PDF, name=JAPANESE, content_type="application/pdf", project_id=project, purpose="attachment")
    file = FileRead.model_validate_json(answer.body, strict=True)
    assert (answer.status, file.status, file.file_name, file.purpose) == (201, "uploaded", JAPANESE, "attachment")
    assert (file.size, file.sha256, str(file.project_id)) == (len(PDF), sha256(PDF), project)
    head = aws.s3().head_object(Bucket=settings().files_bucket, Key=key_of(str(file.id)), ChecksumMode="ENABLED")
    assert (head["ChecksumSHA256"], head["ContentType"]) == (sha256(PDF), "application/pdf")
    process(announced(str(file.id)))
    ready = user.get(answer.header("location") or "").json()
    assert (ready["status"], ready["detected_type"]) == ("ready", "application/pdf")


def test_given_4_mb_when_uploading_then_201_and_a_byte_more_is_413_with_the_way_out(user: Api) -> None:
    assert direct(user, b"a" * MAX_DIRECT).status == 201
    over = direct(user, b"a" * (MAX_DIRECT + 1))
    assert over.status == 413
    assert over.json()["next"] == {"rel": "presign-upload", "href": "/api/v1/files/presign-upload"}
    assert len(user.get("/files").json()["items"]) == 1


def test_given_a_large_body_when_it_is_not_an_upload_then_413(user: Api) -> None:
    assert user.post("/files/multipart", {"file_name": "a" * 300_000, "size": 1}).status == 413
    assert user.post("/folders", {"name": "a" * 300_000}).status == 413


@pytest.mark.parametrize(
    ("parts", "pointer"),
    [
        ({"name": "a\\b"}, "/file/file_name"),
        ({"name": ""}, "/file/file_name"),
        ({"content_type": "nonsense"}, "/file/content_type"),
        ({"purpose": "fun"}, "/purpose"),
        ({"project_id": "x"}, "/project_id"),
        ({"project_id": str(uuid4())}, "/project_id"),
        ({"folder_id": str(uuid4())}, "/folder_id"),
        ({"content_type": "image/svg+xml", "purpose": "attachment"}, "/content_type"),
    ],
)
def test_given_a_bad_form_when_uploading_then_400_names_the_field_and_nothing_is_stored(
    user: Api, parts: dict[str, Any], pointer: str
) -> None:
    answer = direct(user, b"hello", **parts)
    assert (answer.status, answer.json()["errors"][0]["pointer"]) == (400, pointer)
    assert user.get("/files").json()["items"] == []


@pytest.mark.parametrize(
    "body", [b"", b"--x\r\n", b"not a form", b"--x\r\nContent-Disposition: form-data\r\n\r\n\r\n--x--"]
)
def test_given_a_broken_form_when_uploading_then_400(user: Api, body: bytes) -> None:
    for content_type in ("multipart/form-data; boundary=x", "multipart/form-data", "application/json"):
        answer = user.request("POST", "/files", body=body, headers={"content-type": content_type})
        assert answer.status == 400, answer


def test_given_an_idempotency_key_when_uploading_twice_then_one_file_and_one_object(user: Api) -> None:
    key = {"idempotency-key": str(uuid4())}
    first, second = direct(user, b"hello", headers=key), direct(user, b"hello", headers=key)
    assert (first.status, first.body) == (second.status, second.body) == (201, first.body)
    assert len(user.get("/files").json()["items"]) == len(versions(first.json()["id"])) == 1
    assert direct(user, b"other", headers=key).status == 422


def test_given_storage_that_does_not_answer_when_uploading_then_503_and_nothing_is_written(
    user: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILES_BUCKET", "no-such-bucket")
    settings.cache_clear()
    try:
        assert direct(user, PNG).status == 503
        assert user.post("/files/multipart", {"file_name": "a", "size": 7}).status == 503
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert user.get("/files").json()["items"] == []
