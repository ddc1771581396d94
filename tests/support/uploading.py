"""What uploads need in tests: a form sent to S3, S3's announcement of it, and the queue worked off."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

import requests  # moto answers it in-process

from infra.local.events import Response, s3_notification, sqs_event
from infra.local.invocation import invoke
from quintet import aws
from quintet.config import settings
from tests.support.api import Api
from tests.support.statements import execute

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"


def project_of(owner: Api, **members: Api) -> str:
    """A project of this owner; each member by the role they have in it."""
    made = owner.post("/projects", {"title": "A project"})
    assert made.status == 201, made
    for role, member in members.items():
        assert owner.put(f"/projects/{made.json()['id']}/members/{member.id}", {"role": role}).status == 204
    return str(made.json()["id"])


def presign(client: Api, content: bytes | int, **more: Any) -> Response:
    """Ask for a form to upload content (or this many bytes) with."""
    size = content if isinstance(content, int) else len(content)
    query = {"file_name": "a.bin", "size": size, **more}
    return client.get("/files/presign-upload", query=[(name, str(value)) for name, value in query.items()])


def send(form: Mapping[str, Any], content: bytes) -> str:
    """Send the form to S3; the version it made. (moto does not look at the policy, so anything goes in.)"""
    answer = requests.post(form["url"], data=form["fields"], files={"file": content}, timeout=10)
    assert answer.status_code == 204, answer.text
    return versions(form["file_id"])[0]


def upload(client: Api, content: bytes, **more: Any) -> dict[str, Any]:
    """A presigned upload, announced and checked; the file as it is then."""
    form = presign(client, content, **more)
    assert form.status == 200, form
    version = send(form.json(), content)
    assert process(announced(form.json()["file_id"], version)) == []
    return read(client, form.json()["file_id"])


def direct(
    client: Api,
    content: bytes,
    *,
    name: str = "a.txt",
    content_type: str = "text/plain",
    headers: Mapping[str, str] | None = None,
    path: str = "/files",
    query: Mapping[str, str] | None = None,
    **fields: Any,
) -> Response:
    """Send a file through the API to `path`, as browsers do (RFC 7578)."""
    boundary = secrets.token_hex(8)
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'.encode()
        for field, value in fields.items()
    ]
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {content_type}\r\n\r\n"
    )
    body = b"".join([*parts, head.encode(), content, f"\r\n--{boundary}--\r\n".encode()])
    sent = {"content-type": f"multipart/form-data; boundary={boundary}", **(headers or {})}
    return client.request("POST", path, body=body, headers=sent, query=list((query or {}).items()))


def read(client: Api, file_id: str) -> dict[str, Any]:
    """The file."""
    answer = client.get(f"/files/{file_id}")
    assert answer.status == 200, answer
    return dict(answer.json())


def key_of(file_id: str) -> str:
    """Where a file's object is."""
    return f"uploads/{file_id}"


def versions(file_id: str) -> list[str]:
    """The object's versions, newest first."""
    bucket = settings().files_bucket
    found = aws.s3().list_object_versions(Bucket=bucket, Prefix=key_of(file_id)).get("Versions", [])
    return [version["VersionId"] for version in found]


def announced(file_id: str, version: str | None = None, **more: Any) -> dict[str, Any]:
    """What S3 puts into the queue when the object has arrived."""
    version = version or versions(file_id)[0]
    return s3_notification(settings().files_bucket, key_of(file_id), version_id=version, **more)


def process(*messages: Mapping[str, Any] | str) -> list[str]:
    """Have the processor work on these messages as one batch; the ids of those that failed."""
    answer = invoke("upload_processor", sqs_event("uploads", messages))
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def work_off() -> list[dict[str, Any]]:
    """Have the processor work on everything that is in the queue; the messages."""
    done = received("uploads")
    if done:
        process(*done)
    return done


def forget_what_is_due() -> None:
    """What other tests have left: nothing waits for an object, no import for anybody, no delivery for its consumer,
    and nothing is due of integrations."""
    execute("UPDATE deliveries SET done_at = now() WHERE done_at IS NULL")
    execute("UPDATE files SET status = 'rejected' WHERE status IN ('pending', 'uploaded')")
    execute("UPDATE campaign_uploads SET status = 'cancelled' WHERE status IN ('uploaded', 'processing', 'reverting')")
    execute("UPDATE integrations SET next_sync_at = NULL WHERE next_sync_at IS NOT NULL")
    execute("UPDATE integration_requests SET status = 'failed' WHERE status IN ('queued', 'running')")


def received(queue: str) -> list[dict[str, Any]]:
    """Everything that is in a queue, taken out of it."""
    url, found = settings().queue_urls[queue], []
    while messages := aws.sqs().receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            aws.sqs().delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.append(json.loads(message["Body"]))
    return found
