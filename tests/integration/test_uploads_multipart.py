"""Multipart uploads: created, signed part by part, resumed, completed or given up."""

import threading
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
import requests
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest

from functions.files.stored.schemas import FileRead
from functions.files.uploads.multipart import part_count, part_size
from functions.files.uploads.schemas import MultipartRead, PartLinks, PartRead
from quintet import aws
from quintet.config import settings
from quintet.files.purposes import GB, MB
from quintet.http.schemas import Page
from tests.support.api import Api
from tests.support.statements import counted
from tests.support.uploading import PDF, announced, key_of, process, read, versions, work_off

CONTENT = PDF + bytes(17 * MB)
CRC64 = "AAAAAAAAAAE="


def begin(user: Api, size: int = len(CONTENT), **more: Any) -> str:
    """A multipart upload."""
    answer = user.post("/files/multipart", {"file_name": "big.pdf", "size": size, **more})
    assert answer.status == 201, answer
    return str(answer.json()["file_id"])


def send_parts(user: Api, file_id: str, content: bytes = CONTENT, *numbers: int) -> list[dict[str, Any]]:
    """Send these parts (all of them when none is named); what completing wants to know of them."""
    last = part_count(len(content))
    links = user.post(f"/files/{file_id}/parts", {"first": 1, "last": last}).json()["items"]
    sent = []
    for link in links:
        if numbers and link["part_number"] not in numbers:
            continue
        start = (link["part_number"] - 1) * part_size(len(content))
        answer = requests.put(link["url"], data=content[start : start + link["size"]], timeout=10)
        assert answer.status_code == 200, answer.text
        sent.append({"part_number": link["part_number"], "etag": answer.headers["etag"]})
    return sent


def s3_accepts(url: str, size: int) -> bool:
    """Whether S3 finds the link's signature right for a PUT of this many bytes."""
    address, _, signature = url.rpartition("&X-Amz-Signature=")
    signed = parse_qs(urlsplit(url).query)
    request = AWSRequest("PUT", address, headers={"Content-Length": str(size)})
    request.context["timestamp"] = signed["X-Amz-Date"][0]
    region = signed["X-Amz-Credential"][0].split("/")[2]
    credentials = boto3.Session().get_credentials()
    assert credentials
    signer = S3SigV4QueryAuth(credentials, "s3", region)
    expected: str = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    return signed["X-Amz-SignedHeaders"] == ["content-length;host"] and signature == expected


def uploads_under_way(file_id: str) -> list[str]:
    """S3's own list."""
    found = aws.s3().list_multipart_uploads(Bucket=settings().files_bucket, Prefix=key_of(file_id))
    return [upload["UploadId"] for upload in found.get("Uploads", [])]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, (16 * MB, 1)),
        (16 * MB, (16 * MB, 1)),
        (16 * MB + 1, (16 * MB, 2)),
        (GB, (16 * MB, 64)),
        (5 * GB, (16 * MB, 320)),
        (5000 * GB, (512 * MB, 10_000)),
    ],
)
def test_given_a_size_then_its_parts_are_within_the_limits_of_s3(size: int, expected: tuple[int, int]) -> None:
    assert (part_size(size), part_count(size)) == expected
    assert 5 * MB <= part_size(size) <= 5 * GB
    assert (part_count(size) - 1) * part_size(size) < size <= part_count(size) * part_size(size)


def test_given_a_large_file_when_uploading_in_parts_then_it_becomes_ready(user: Api) -> None:
    created = user.post("/files/multipart", {"fileName": "big.pdf", "size": len(CONTENT)})
    made = MultipartRead.model_validate_json(created.body, strict=True)
    assert (made.part_size, made.part_count, made.checksum) == (16 * MB, 2, "CRC64NVME")
    file_id = str(made.file_id)
    assert user.get(created.header("location") or "").header("etag") == created.header("etag") == '"1"'
    parts = send_parts(user, file_id)
    answer = user.post(f"/files/{file_id}/complete", {"parts": parts[::-1]})
    assert (answer.status, FileRead.model_validate_json(answer.body, strict=True).status) == (200, "uploaded")
    process(announced(file_id, event_name="ObjectCreated:CompleteMultipartUpload"))
    file = read(user, file_id)
    assert (file["status"], file["detected_type"]) == ("ready", "application/pdf")
    assert requests.get(file["download_url"], timeout=10).content == CONTENT


def test_given_parts_that_have_arrived_when_listing_then_an_upload_can_go_on(user: Api) -> None:
    file_id = begin(user)
    second = send_parts(user, file_id, CONTENT, 2)
    page = Page[PartRead].model_validate_json(user.get(f"/files/{file_id}/parts").body, strict=True)
    assert [(part.part_number, part.size) for part in page.items] == [(2, len(CONTENT) - 16 * MB)]
    first = send_parts(user, file_id, CONTENT, 1)
    assert user.post(f"/files/{file_id}/complete", {"parts": second + first}).status == 200


def test_given_several_pages_of_parts_when_listing_then_the_cursor_goes_on(user: Api) -> None:
    file_id = begin(user)
    send_parts(user, file_id)
    first = user.get(f"/files/{file_id}/parts", query=[("limit", "1")]).json()
    query = [("limit", "1"), ("cursor", first["next_cursor"])]
    second = user.get(f"/files/{file_id}/parts", query=query).json()
    assert [part["part_number"] for part in first["items"] + second["items"]] == [1, 2]
    assert second["next_cursor"] is None
    for cursor in ("~", "_____________________w"):
        assert user.get(f"/files/{file_id}/parts", query=[("cursor", cursor)]).status == 400


def test_given_an_upload_when_signing_parts_then_each_has_its_size_and_no_transaction_is_held(user: Api) -> None:
    file_id = begin(user, size=GB - 1)
    with counted() as statements:
        answer = user.post(f"/files/{file_id}/parts", {"first": 60, "last": 64})
    links = PartLinks.model_validate_json(answer.body, strict=True)
    assert [link.part_number for link in links.items] == [60, 61, 62, 63, 64]
    assert [link.size for link in links.items] == [16 * MB] * 4 + [16 * MB - 1]
    # THEN S3 takes nothing larger nor smaller there (moto looks at no signature)
    for link in links.items:
        assert [s3_accepts(link.url, link.size + more) for more in (-1, 0, 1)] == [False, True, False]
    assert not any(statement.startswith(("BEGIN", "COMMIT", "ROLLBACK")) for statement in statements)


@pytest.mark.parametrize(
    "wanted",
    [
        {"first": 0, "last": 1},
        {"first": 2, "last": 1},
        {"first": 1, "last": 65},
        {"first": 1, "last": 10_001},
        {"first": 1},
        {"first": "x", "last": 1},
        {},
        [],
    ],
)
def test_given_parts_that_are_not_there_when_signing_then_400(user: Api, wanted: Any) -> None:
    file_id = begin(user, size=GB)
    assert user.post(f"/files/{file_id}/parts", wanted).status == 400


def test_given_more_than_a_hundred_parts_when_signing_then_400(user: Api) -> None:
    file_id = begin(user, size=5 * GB)
    assert user.post(f"/files/{file_id}/parts", {"first": 1, "last": 101}).status == 400
    assert len(user.post(f"/files/{file_id}/parts", {"first": 221, "last": 320}).json()["items"]) == 100


def test_given_wrong_parts_when_completing_then_400_says_which_and_the_upload_goes_on(user: Api) -> None:
    file_id = begin(user)
    parts = send_parts(user, file_id)
    wrong = [
        parts[:1],
        parts[:1] * 2,
        [*parts, {"part_number": 3, "etag": "x"}],
        [parts[0], {"part_number": 2, "etag": '"00000000000000000000000000000000"'}],
        [],
        [{"part_number": 1, "etag": "<x>"}],
    ]
    for given in wrong:
        answer = user.post(f"/files/{file_id}/complete", {"parts": given})
        assert (answer.status, answer.json()["errors"][0]["pointer"][:6]) == (400, "/parts"), given
    assert user.post(f"/files/{file_id}/complete", {"parts": parts, "crc64nvme": "x"}).status == 400
    assert read(user, file_id)["status"] == "pending"
    assert user.post(f"/files/{file_id}/complete", {"parts": parts}).status == 200


def test_given_a_completed_upload_when_completing_again_then_the_same_answer(user: Api) -> None:
    file_id = begin(user)
    parts = send_parts(user, file_id)
    answers = [user.post(f"/files/{file_id}/complete", {"parts": parts}) for _ in range(2)]
    assert answers[0].body == answers[1].body
    assert len(versions(file_id)) == 1
    # WHEN the first answer was lost before the row was written
    from quintet.db.engine import owner_engine

    with owner_engine().begin() as connection:
        connection.exec_driver_sql("UPDATE files SET status = 'pending' WHERE id = %(id)s", {"id": file_id})
    assert user.post(f"/files/{file_id}/complete", {"parts": parts}).json()["status"] == "uploaded"
    assert user.post(f"/files/{file_id}/parts", {"first": 1, "last": 1}).status == 409


@pytest.mark.parametrize("meanwhile", ["deleted", "checked"])
def test_given_a_file_that_is_deleted_or_checked_while_completing_then_the_answer_is_what_became_of_it(
    user: Api, meanwhile: str
) -> None:
    file_id = begin(user)
    parts = send_parts(user, file_id)
    # GIVEN S3 has put the parts together, and before it says so
    answered: list[Any] = []

    def delete() -> None:
        answered.append(user.delete(f"/files/{file_id}").status)

    def intervene(**_: Any) -> None:
        if meanwhile == "deleted":
            other = threading.Thread(target=delete)
            other.start()
            other.join()
        else:
            answered.append(process(announced(file_id, event_name="ObjectCreated:CompleteMultipartUpload")))

    events, name = aws.s3().meta.events, "after-call.s3.CompleteMultipartUpload"
    events.register(name, intervene)
    try:
        answer = user.post(f"/files/{file_id}/complete", {"parts": parts})
    finally:
        events.unregister(name, intervene)
    if meanwhile == "deleted":
        assert (answered, answer.status) == ([204], 404)
        work_off()
        assert versions(file_id) == []
    else:
        assert (answered, answer.status) == ([[]], 200)
        assert answer.json() == {key: value for key, value in read(user, file_id).items() if key in answer.json()}
        assert answer.json()["status"] == "ready"


def test_given_an_upload_that_s3_has_forgotten_when_going_on_then_410(user: Api) -> None:
    file_id = begin(user)
    (upload_id,) = uploads_under_way(file_id)
    aws.s3().abort_multipart_upload(Bucket=settings().files_bucket, Key=key_of(file_id), UploadId=upload_id)
    assert user.get(f"/files/{file_id}/parts").status == 410


@pytest.mark.parametrize("way", ["abort", "delete"])
def test_given_an_upload_under_way_when_giving_it_up_then_its_parts_and_the_file_go(user: Api, way: str) -> None:
    file_id = begin(user)
    send_parts(user, file_id, CONTENT, 1)
    assert len(uploads_under_way(file_id)) == 1
    answer = user.post(f"/files/{file_id}/abort") if way == "abort" else user.delete(f"/files/{file_id}")
    assert answer.status == 204
    work_off()
    assert uploads_under_way(file_id) == []
    assert user.get(f"/files/{file_id}").status == 404


def test_given_a_file_without_an_upload_under_way_when_giving_it_up_then_409_and_it_stays(user: Api) -> None:
    file_id = begin(user)
    user.post(f"/files/{file_id}/complete", {"parts": send_parts(user, file_id)})
    assert user.post(f"/files/{file_id}/abort").status == 409
    assert read(user, file_id)["status"] == "uploaded"


@pytest.mark.parametrize(("kept", "status"), [(CRC64, "ready"), ("AAAAAAAAAAI=", "rejected"), (None, "ready")])
def test_given_a_checksum_of_the_whole_when_s3_kept_another_then_rejected(
    user: Api, kept: str | None, status: str
) -> None:
    file_id = begin(user, size=len(PDF))
    parts = send_parts(user, file_id, PDF)
    done = user.post(f"/files/{file_id}/complete", {"parts": parts, "crc64nvme": CRC64})
    assert done.status == 200
    # moto keeps a checksum only of what is put with one: the object as S3 would have it
    checksum: Any = {"ChecksumAlgorithm": "CRC64NVME", "ChecksumCRC64NVME": kept} if kept else {}
    aws.s3().put_object(Bucket=settings().files_bucket, Key=key_of(file_id), Body=PDF, **checksum)
    process(announced(file_id))
    assert read(user, file_id)["status"] == status


def test_given_an_idempotency_key_when_creating_at_once_then_one_upload(user: Api) -> None:
    ready, answers = threading.Barrier(3), []

    def create() -> None:
        ready.wait()
        key = {"idempotency-key": "k"}
        answers.append(user.post("/files/multipart", {"file_name": "a", "size": 7}, headers=key))

    threads = [threading.Thread(target=create) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({answer.body for answer in answers}) == 1
    assert len(user.get("/files").json()["items"]) == 1
