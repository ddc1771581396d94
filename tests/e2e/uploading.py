"""A file on its way through a stand."""

from typing import Any

import httpx2

from tests.e2e.stand import eventually


def presign(person: httpx2.Client, **query: Any) -> dict[str, Any]:
    """A form to upload with."""
    answer = person.get("/files/presign-upload", params=query)
    assert answer.status_code == 200, answer.text
    upload: dict[str, Any] = answer.json()
    return upload


def send(upload: dict[str, Any], content: bytes) -> httpx2.Response:
    """Post the form to S3, as a browser would."""
    return httpx2.post(upload["url"], data=upload["fields"], files={"file": ("file", content)}, timeout=60)


def checked(person: httpx2.Client, file_id: str, seconds: float = 30) -> dict[str, Any]:
    """The file, once its check is over."""
    read = lambda: person.get(f"/files/{file_id}").json()  # noqa: E731
    return eventually(read, lambda file: file["status"] in ("ready", "rejected"), seconds)
