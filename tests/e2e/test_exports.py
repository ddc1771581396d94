"""`kill -9` of the whole stand in the middle of an export: it is made all the same, and leaves no parts behind."""

import io
import secrets
import zipfile
from collections.abc import Callable

import boto3
import httpx2
import psutil
import psycopg
import pytest

from tests.e2e.stand import Stand, eventually
from tests.e2e.uploading import checked, presign, send

MB = 1024 * 1024


def status_of(person: httpx2.Client) -> str:
    """How far their export is."""
    return str(person.get("/users/me/export").json()["status"])


@pytest.mark.timeout(300)
def test_given_a_kill_in_the_middle_of_an_export_then_it_is_whole_in_the_end(
    new_stand: Callable[..., Stand], email: str
) -> None:
    # GIVEN somebody with more than is sent in a moment
    stand = new_stand()
    stand.start()
    content = secrets.token_bytes(25 * MB)
    with stand.sign_up(email) as person:
        files = [
            presign(person, file_name=f"{n}.bin", content_type="application/octet-stream", size=len(content))
            for n in range(4)
        ]
        for upload in files:
            assert send(upload, content).is_success
        assert {checked(person, upload["file_id"], 60)["status"] for upload in files} == {"ready"}
        # WHEN everything dies while parts are sent
        assert person.post("/users/me/export").status_code == 202
        eventually(lambda: begun(stand), seconds=30)
        stand.kill()
        stand.restart()
        assert status_of(person) == "running"
        # and the lease of who died, as long as a function may run, is over
        with psycopg.connect(stand.running().environment["DATABASE_OWNER_URL"]) as connection:
            connection.execute(
                "UPDATE deliveries SET lease_until = now(), next_attempt_at = now() WHERE done_at IS NULL"
            )
        # THEN it is made when the dispatcher comes: each minute, and when a worker starts
        psutil.Process(stand.worker()).kill()
        eventually(stand.worker)
        stand.wait_ready()
        eventually(lambda: status_of(person), lambda status: status == "ready", seconds=150)
        archive = person.get("/users/me/export/content", follow_redirects=True)
    with zipfile.ZipFile(io.BytesIO(archive.content)) as entries:
        for upload in files:
            names = [name for name in entries.namelist() if upload["file_id"] in name]
            assert [entries.read(name) for name in names] == [content]
    assert not begun(stand)
    stand.wait_for_mail(email, subject="Your data is ready")


def begun(stand: Stand) -> list[str]:
    """Uploads of archives that are under way."""
    there = stand.running().environment
    s3 = boto3.client(
        "s3",
        endpoint_url=there["AWS_ENDPOINT_URL"],
        region_name=there["AWS_REGION"],
        aws_access_key_id=there["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=there["AWS_SECRET_ACCESS_KEY"],
    )
    uploads = s3.list_multipart_uploads(Bucket=there["FILES_BUCKET"]).get("Uploads", [])
    return [upload["Key"] for upload in uploads if upload["Key"].startswith("exports/")]
