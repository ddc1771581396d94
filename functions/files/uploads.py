"""The rules of uploads: what may come, and how it gets to S3 without passing through us when it is large."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from functions.files.access import place_for, scope, seen_file
from functions.files.schemas import MAX_LINKS, MAX_PARTS, FileCreate, PartDone, PartLink, PartRange, PartRead
from quintet.aws import s3
from quintet.config import settings
from quintet.db.models import File
from quintet.errors import BadRequest, Conflict, ContentTooLarge, Gone, ServiceUnavailable
from quintet.events.record import record
from quintet.events.types import EventType
from quintet.identity.principal import Principal
from quintet.observability import logger
from quintet.pagination import PageRequest, decode_cursor, encode_cursor
from quintet.purposes import MB, PURPOSES, essence

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

MAX_DIRECT = 4 * MB
"""Bytes of a file sent through the API: base64 makes them 5.3 MB of the 6 that Lambda takes."""
FORM_LIFETIME = timedelta(minutes=15)
"""S3 looks at it when an upload begins."""
PART_LIFETIME = timedelta(hours=1)
_PART_SIZE = 16 * MB

PRESIGN = {"rel": "presign-upload", "href": "/files/presign-upload"}


class Form(NamedTuple):
    """A presigned POST."""

    url: str
    fields: dict[str, str]
    expires_at: datetime


def presign_upload(session: Session, caller: Principal, *, new: FileCreate, sha256: str | None) -> tuple[File, Form]:
    """A pending file, and a form that lets exactly this content in: key, size, type and checksum are bound."""
    file = _declare(session, caller, new, sha256=sha256, within="query/")
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

    The object comes last before the commit. Should that fail, the object has no file, and its notification
    has it removed; the other way round, a repeat by Idempotency-Key would promise a file that never came.
    """
    digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
    file = _declare(session, caller, new, sha256=digest, status="uploaded", uploaded_at=func.now())
    _ask_s3(
        "put_object",
        Bucket=file.bucket,
        Key=file.key,
        Body=content,
        ContentType=file.content_type,
        ChecksumAlgorithm="SHA256",
        ChecksumSHA256=digest,
    )
    return file


def create_multipart(session: Session, caller: Principal, *, new: FileCreate) -> File:
    """A pending file with a multipart upload under way.

    No checksum algorithm is named: S3 then keeps the CRC-64/NVME of the whole object without asking the
    uploader for one of each part. An upload whose transaction fails is removed by the bucket's lifecycle.
    """
    file = _declare(session, caller, new)
    answer = _ask_s3("create_multipart_upload", Bucket=file.bucket, Key=file.key, ContentType=file.content_type)
    file.upload_id = answer["UploadId"]
    session.flush()
    return file


def part_size(size: int) -> int:
    """Bytes of each part but the last, for an object of `size`: 16 MB, or more when 10,000 of those are too few.

    S3 takes parts of 5 MB to 5 GB.
    """
    return max(_PART_SIZE, -(-size // MAX_PARTS // MB) * MB)


def part_count(size: int) -> int:
    """How many parts an object of `size` has."""
    return -(-size // part_size(size))


def sign_parts(session: Session, caller: Principal, *, file_id: UUID, wanted: PartRange) -> list[PartLink]:
    """Links to send the parts of a range to."""
    file, upload_id = _under_way(session, caller, file_id)
    count = part_count(file.size)
    if wanted.last > count:
        raise BadRequest.at("/last", f"This upload has {count} parts.")
    if not wanted.first <= wanted.last < wanted.first + MAX_LINKS:
        raise BadRequest.at("/last", f"Ask for 1 to {MAX_LINKS} parts at once, the last one not before the first.")
    return [
        PartLink(
            part_number=number,
            url=s3().generate_presigned_url(
                "upload_part",
                Params={"Bucket": file.bucket, "Key": file.key, "UploadId": upload_id, "PartNumber": number},
                ExpiresIn=int(PART_LIFETIME.total_seconds()),
            ),
            size=min(part_size(file.size), file.size - (number - 1) * part_size(file.size)),
        )
        for number in range(wanted.first, wanted.last + 1)
    ]


def list_parts(
    session: Session, caller: Principal, *, file_id: UUID, paging: PageRequest
) -> tuple[list[PartRead], str | None]:
    """A page of the parts that have arrived, by number, and the cursor of the next."""
    file, upload_id = _under_way(session, caller, file_id)
    after = decode_cursor(paging.cursor).int if paging.cursor else 0
    if after > MAX_PARTS:
        raise BadRequest.at("query/cursor", "Send a next_cursor of an earlier answer, as it was.")
    answer = _ask_s3(
        "list_parts",
        Bucket=file.bucket,
        Key=file.key,
        UploadId=upload_id,
        PartNumberMarker=after,
        MaxParts=paging.limit,
    )
    parts = [
        PartRead(part_number=part["PartNumber"], etag=part["ETag"], size=part["Size"])
        for part in answer.get("Parts", [])
    ]
    more = answer["IsTruncated"] and parts
    return parts, encode_cursor(UUID(int=parts[-1].part_number)) if more else None


def complete(
    session: Session, caller: Principal, *, file_id: UUID, parts: Sequence[PartDone], crc64nvme: str | None
) -> File:
    """Put the parts together. Repeatable. To be called outside a transaction: S3 may take its time.

    Our row says what is expected before S3 announces the object, and that it has come after; whatever we miss
    of that, its notification brings.
    """
    file = seen_file(session, caller, file_id, at_least="editor")
    if file.upload_id is None:
        raise Conflict("This file is not a multipart upload.")
    if file.status != "pending":
        return file
    count = part_count(file.size)
    if sorted(part.part_number for part in parts) != list(range(1, count + 1)):
        raise BadRequest.at("/parts", f"Send each part once, numbers 1 to {count}.")
    session.execute(update(File).where(File.id == file.id, File.status == "pending").values(crc64nvme=crc64nvme))
    _complete_at_s3(file, parts)
    session.execute(
        update(File)
        .where(File.id == file.id, File.status == "pending")
        .values(status="uploaded", uploaded_at=func.now(), version=File.version + 1)
    )
    session.refresh(file)
    return file


def _complete_at_s3(file: File, parts: Sequence[PartDone]) -> None:
    ordered = sorted(parts, key=lambda part: part.part_number)
    try:
        _ask_s3(
            "complete_multipart_upload",
            Bucket=file.bucket,
            Key=file.key,
            UploadId=file.upload_id,
            MultipartUpload={"Parts": [{"PartNumber": part.part_number, "ETag": part.etag} for part in ordered]},
            MpuObjectSize=file.size,
        )
    except Gone:
        # Completed before, by a request whose answer was lost, or removed by the bucket's lifecycle.
        if not _exists(file):
            raise


def _declare(session: Session, caller: Principal, new: FileCreate, *, within: str = "/", **more: Any) -> File:
    """A row for a file that is to come, if its purpose and its place allow it."""
    purpose = PURPOSES[new.purpose]
    if new.size > purpose.max_size:
        raise ContentTooLarge(
            f"A file with the purpose {new.purpose} has {purpose.max_size} bytes at most; this one has {new.size}."
        )
    declared = essence(new.content_type)
    if declared in purpose.refuses:  # what it really is, and whether that is allowed, its content will show
        raise BadRequest.at(f"{within}content_type", f"{declared} is not accepted for the purpose {new.purpose}.")
    place = place_for(session, caller, project_id=new.project_id, folder_id=new.folder_id, within=within)
    file = File(
        id=place.new_id,
        owner_id=caller.user_id,
        project_id=place.project_id,
        folder_id=place.folder_id,
        file_name=new.file_name,
        bucket=settings().files_bucket,
        key=f"uploads/{place.new_id}",
        content_type=new.content_type,
        size=new.size,
        purpose=new.purpose,
        **more,
    )
    session.add(file)
    data = {"purpose": file.purpose, "size": file.size}
    record(session, EventType.FILE_REQUESTED, subject=file.id, scope=scope(file), data=data)
    return file


def _under_way(session: Session, caller: Principal, file_id: UUID) -> tuple[File, str]:
    file = seen_file(session, caller, file_id, at_least="editor")
    if file.upload_id is None or file.status != "pending":
        raise Conflict("No multipart upload is under way for this file.")
    return file, file.upload_id


_REFUSALS = {
    "InvalidPart": "S3 does not have one of these parts with this ETag. List the parts that have arrived.",
    "InvalidPartOrder": "The parts are not in order.",
    "EntityTooSmall": "A part other than the last is smaller than 5 MB.",
    "InvalidRequest": "The parts together do not have the size that was announced.",
}


def _ask_s3(operation: str, **parameters: Any) -> dict[str, Any]:
    """Call S3; what it says about the request is the caller's to know, anything else a 503."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, Any] = getattr(s3(), operation)(**parameters)
    except ClientError as error:
        code = _code(error)
        if code == "NoSuchUpload":
            raise Gone("This upload is not under way any more. Create a new one.") from None
        if code in _REFUSALS:
            raise BadRequest.at("/parts", _REFUSALS[code]) from None
        logger.exception("S3 refused %s.", operation)
    except BotoCoreError:
        logger.exception("S3 does not answer %s.", operation)
    else:
        return answer
    raise ServiceUnavailable("The storage does not answer. Try again.")


def _exists(file: File) -> bool:
    from botocore.exceptions import ClientError

    try:
        s3().head_object(Bucket=file.bucket, Key=file.key)
    except ClientError as error:
        if _code(error) in ("404", "NoSuchKey", "NotFound"):
            return False
        raise
    return True


def _code(error: "ClientError") -> str:
    return error.response.get("Error", {}).get("Code", "")
