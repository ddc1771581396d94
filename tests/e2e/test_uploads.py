"""Uploads of all kinds through the running stand: what S3 refuses, what the check refuses, and what becomes ready."""

import base64
import hashlib
import secrets
from urllib.parse import unquote

import httpx2
import pytest

from tests.e2e.stand import Stand
from tests.e2e.uploading import checked, presign, send

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
MB = 1024 * 1024


def test_given_an_honest_upload_then_it_becomes_ready_and_comes_back_as_it_was(person: httpx2.Client) -> None:
    name = "報告 2026 +案 (最終).png"
    sha256 = base64.b64encode(hashlib.sha256(PNG).digest()).decode()
    upload = presign(person, file_name=name, content_type="image/png", size=len(PNG), sha256=sha256)
    assert send(upload, PNG).is_success
    file = checked(person, upload["file_id"])
    assert (file["status"], file["file_name"], file["detected_type"]) == ("ready", name, "image/png")
    redirect = person.get(f"/files/{upload['file_id']}/content")
    assert redirect.status_code == 303
    link = httpx2.URL(redirect.headers["location"])
    assert httpx2.get(link).content == PNG
    # The emulator does not act on it, S3 does: the file is saved under its own name (RFC 6266).
    _, _, saved_as = link.params["response-content-disposition"].rpartition("filename*=UTF-8''")
    assert unquote(saved_as) == name


def test_given_a_lying_content_type_then_the_rejection_says_so_by_mail_too(
    stand: Stand, person: httpx2.Client, email: str
) -> None:
    stand.prove(email)
    pdf = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\n" + b" " * 200
    upload = presign(person, file_name="photo.png", content_type="image/png", size=len(pdf))
    assert send(upload, pdf).is_success
    file = checked(person, upload["file_id"])
    assert file["status"] == "rejected"
    assert "PDF" in file["reason"]
    assert "a PNG image" in file["reason"]
    assert file["download_url"] is None
    assert person.get(f"/files/{upload['file_id']}/content").status_code == 409
    assert "PDF" in stand.wait_for_mail(email, subject="photo.png").text


def test_given_no_bytes_then_the_problem_names_the_size(person: httpx2.Client) -> None:
    refused = person.get("/files/presign-upload", params={"file_name": "empty.txt", "size": 0})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["pointer"] == "query/size"
    direct = person.post("/files", files={"file": ("empty.txt", b"")})
    assert direct.status_code == 400


def test_given_a_direct_upload_one_byte_over_the_limit_then_413_names_the_next_step(person: httpx2.Client) -> None:
    fits = person.post("/files", files={"file": ("big.txt", b"x" * 4 * MB, "text/plain")})
    assert fits.status_code == 201
    assert checked(person, fits.json()["id"])["status"] == "ready"
    refused = person.post("/files", files={"file": ("big.txt", b"x" * (4 * MB + 1), "text/plain")})
    assert refused.status_code == 413
    assert "presign-upload" in refused.json()["next"]["href"]


@pytest.mark.parametrize("content", [b"x" * 9, b"x" * 11, b""])
def test_given_another_size_than_declared_then_s3_refuses_it(person: httpx2.Client, content: bytes) -> None:
    upload = presign(person, file_name="ten.txt", content_type="text/plain", size=10)
    assert send(upload, content).status_code in (400, 403)
    assert person.get(f"/files/{upload['file_id']}").json()["status"] == "pending"


def test_given_a_tampered_form_then_s3_refuses_it(person: httpx2.Client) -> None:
    upload = presign(person, file_name="ten.txt", content_type="text/plain", size=10)
    upload["fields"]["key"] += "-elsewhere"
    assert send(upload, b"x" * 10).status_code == 403


def test_given_one_byte_over_the_purposes_limit_then_413_names_the_limit(person: httpx2.Client) -> None:
    refused = person.get(
        "/files/presign-upload", params={"file_name": "a.txt", "purpose": "attachment", "size": 100 * MB + 1}
    )
    assert refused.status_code == 413
    assert str(100 * MB) in refused.json()["detail"]


@pytest.mark.timeout(300)
def test_given_a_gigabyte_in_parts_then_it_becomes_ready(person: httpx2.Client) -> None:
    size = 1024 * MB
    made = person.post("/files/multipart", json={"file_name": "film.bin", "size": size})
    assert made.status_code == 201, made.text
    upload = made.json()
    path, part_size = f"/files/{upload['file_id']}", upload["part_size"]
    block = secrets.token_bytes(part_size)
    parts = []
    for number in range(1, upload["part_count"] + 1):
        (link,) = person.post(f"{path}/parts", json={"first": number, "last": number}).json()["items"]
        stored = httpx2.put(link["url"], content=block[: link["size"]], timeout=60)
        parts.append({"part_number": number, "etag": stored.headers["etag"]})
    # The upload can go on where it stopped.
    arrived = person.get(f"{path}/parts", params={"limit": 100}).json()["items"]
    assert sum(part["size"] for part in arrived) == size
    completed = person.post(f"{path}/complete", json={"parts": parts}, timeout=120)
    assert completed.is_success, completed.text
    file = checked(person, upload["file_id"], seconds=120)
    assert (file["status"], file["size"]) == ("ready", size), file["reason"]
    assert person.delete(path).status_code == 204
    assert person.get(path).status_code == 404
