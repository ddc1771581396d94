"""The rules of uploads: what may come, and how it gets to S3 without passing through us when it is large."""

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import func
from sqlalchemy.orm import Session

from functions.files.access import place_for
from functions.files.uploads.schemas import FileCreate
from quintet.aws import s3
from quintet.config import settings
from quintet.db.models.files import File
from quintet.errors import BadRequest, Conflict, ContentTooLarge
from quintet.events.record import record
from quintet.events.types import EventType
from quintet.files.events import scope_of_file
from quintet.files.objects import key_of
from quintet.files.purposes import GB, PURPOSES, essence
from quintet.files.storage import MAX_DIRECT, sha256_of, store
from quintet.identity.principal import Principal

FORM_LIFETIME = timedelta(minutes=15)
"""S3 looks at it when an upload begins."""
MAX_PENDING = 1_000
MAX_PENDING_SIZE = 50 * GB
"""What an account may have under way. Requests at the same moment do not see each other, so a few may get past."""


class Form(NamedTuple):
    """A presigned POST."""

    url: str
    fields: dict[str, str]
    expires_at: datetime


def presign_upload(session: Session, caller: Principal, *, new: FileCreate, sha256: str | None) -> tuple[File, Form]:
    """A pending file, and a form that lets exactly this content in: key, size, type and checksum are bound."""
    file = declare(session, caller, new, sha256=sha256, within="query/")
    fields = {"Content-Type": file.content_type}
    if sha256 is not None:
        fields |= {"x-amz-checksum-algorithm": "SHA256", "x-amz-checksum-sha256": sha256}
    conditions: list[Any] = [{name: value} for name, value in fields.items()]
    expires_at = datetime.now(UTC) + FORM_LIFETIME
    form = s3().generate_presigned_post(
        file.bucket,
        file.key,
        Fields=fields,
        Conditions=[*conditions, ["content-length-range", file.size, file.size]],
        ExpiresIn=int(FORM_LIFETIME.total_seconds()),
    )
    return file, Form(form["url"], form["fields"], expires_at)


def upload_direct(session: Session, caller: Principal, *, new: FileCreate, content: bytes) -> File:
    """Store a small file sent through the API; it is checked like any other, from the queue.

    413 for more than `MAX_DIRECT` bytes.
    """
    if new.size > MAX_DIRECT:
        raise ContentTooLarge(
            "Through the API 4 MB at most. Ask for a presigned upload.",
            next={"rel": "presign-upload", "href": "/files/presign-upload"},
        )
    file = declare(session, caller, new, sha256=sha256_of(content), status="uploaded", uploaded_at=func.now())
    store(file, content)
    return file


def declare(session: Session, caller: Principal, new: FileCreate, *, within: str = "/", **more: Any) -> File:
    """A row for a file that is to come, if its purpose, its place and what else is to come allow it."""
    rules = PURPOSES[new.purpose]
    if new.size > rules.max_size:
        raise ContentTooLarge(
            f"A file with the purpose {new.purpose} has {rules.max_size} bytes at most; this one has {new.size}."
        )
    declared = essence(new.content_type)
    if declared in rules.refuses:  # what it really is, and whether that is allowed, its content will show
        raise BadRequest.at(f"{within}content_type", f"{declared} is not accepted for the purpose {new.purpose}.")
    place = place_for(session, caller, project_id=new.project_id, folder_id=new.folder_id, within=within)
    if place.pending >= MAX_PENDING or place.pending_size + new.size > MAX_PENDING_SIZE:
        raise Conflict(
            f"You have {place.pending} uploads of {place.pending_size} bytes under way; {MAX_PENDING} of"
            f" {MAX_PENDING_SIZE} bytes are the most. Finish or delete some of them.",
            next={"rel": "pending-uploads", "href": "/files?status=pending"},
        )
    file = File(
        id=place.new_id,
        owner_id=caller.user_id,
        project_id=place.project_id,
        folder_id=place.folder_id,
        file_name=new.file_name,
        bucket=settings().files_bucket,
        key=key_of(place.new_id),
        content_type=new.content_type,
        size=new.size,
        purpose=new.purpose,
        **more,
    )
    session.add(file)
    data = {"purpose": file.purpose, "size": file.size}
    record(session, EventType.FILE_UPLOAD_REQUESTED, subject=file.id, scope=scope_of_file(file), data=data)
    return file
