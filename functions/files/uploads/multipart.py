"""The rules of multipart uploads: large files in parts, each sent to S3 by itself."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from functions.files.access import locked_file, seen_file
from functions.files.uploads.schemas import (
    MAX_LINKS,
    MAX_PARTS,
    FileCreate,
    PartDone,
    PartLink,
    PartRange,
    PartRead,
)
from functions.files.uploads.service import declare
from quintet.aws import s3
from quintet.db.models.files import File
from quintet.errors import BadRequest, Conflict, Gone
from quintet.files.events import record_removed
from quintet.files.objects import head
from quintet.files.purposes import MB
from quintet.files.storage import ask
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest, decode_cursor, encode_cursor

PART_LIFETIME = timedelta(hours=1)
"""How long a link to send a part to is good."""
_PART_SIZE = 16 * MB


def create(session: Session, caller: Principal, *, new: FileCreate) -> File:
    """A pending file with a multipart upload under way.

    No checksum algorithm is named: S3 then keeps the CRC-64/NVME of the whole object without asking the
    uploader for one of each part. An upload whose transaction fails is removed by the bucket's lifecycle.
    """
    file = declare(session, caller, new)
    answer = ask("create_multipart_upload", Bucket=file.bucket, Key=file.key, ContentType=file.content_type)
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
    """Links to send the parts of a range to.

    Each is signed with its part's Content-Length: S3 refuses any other, which it else took up to 5 GB of.
    """
    file, upload_id = _under_way(session, caller, file_id)
    count, usual = part_count(file.size), part_size(file.size)
    if wanted.last > count:
        raise BadRequest.at("/last", f"This upload has {count} parts.")
    if not wanted.first <= wanted.last < wanted.first + MAX_LINKS:
        raise BadRequest.at("/last", f"Ask for 1 to {MAX_LINKS} parts at once, the last one not before the first.")
    sizes = {number: min(usual, file.size - (number - 1) * usual) for number in range(wanted.first, wanted.last + 1)}
    return [
        PartLink(
            part_number=number,
            url=s3().generate_presigned_url(
                "upload_part",
                Params={
                    "Bucket": file.bucket,
                    "Key": file.key,
                    "UploadId": upload_id,
                    "PartNumber": number,
                    "ContentLength": size,
                },
                ExpiresIn=int(PART_LIFETIME.total_seconds()),
            ),
            size=size,
        )
        for number, size in sizes.items()
    ]


def list_parts(
    session: Session, caller: Principal, *, file_id: UUID, paging: PageRequest
) -> tuple[list[PartRead], str | None]:
    """A page of the parts that have arrived, by number, and the cursor of the next."""
    file, upload_id = _under_way(session, caller, file_id)
    after = decode_cursor(paging.cursor).int if paging.cursor else 0
    if after > MAX_PARTS:
        raise BadRequest.at("query/cursor", "Send a next_cursor of an earlier answer, as it was.")
    answer = ask(
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
    of that, its notification brings. `uploaded` is no event, however a file comes: it says only that the bytes are
    there, and the check that they set off records what is to be known of them, `file.ready` or `file.rejected`.
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
    completed = session.scalar(
        update(File)
        .where(File.id == file.id, File.status == "pending")
        .values(status="uploaded", uploaded_at=func.now(), version=File.version + 1)
        .returning(File)
        .execution_options(populate_existing=True)
    )
    if completed is None:  # checked already, or deleted
        session.expire(file)
        completed = seen_file(session, caller, file_id, at_least="editor")
    return completed


def _complete_at_s3(file: File, parts: Sequence[PartDone]) -> None:
    ordered = sorted(parts, key=lambda part: part.part_number)
    try:
        ask(
            "complete_multipart_upload",
            Bucket=file.bucket,
            Key=file.key,
            UploadId=file.upload_id,
            MultipartUpload={"Parts": [{"PartNumber": part.part_number, "ETag": part.etag} for part in ordered]},
            MpuObjectSize=file.size,
        )
    except Gone:
        # Completed before, by a request whose answer was lost, or removed by the bucket's lifecycle.
        if head(file.bucket, file.key) is None:
            raise


def abort(session: Session, caller: Principal, *, file_id: UUID) -> None:
    """Give up a multipart upload that is under way; the file goes with it."""
    file = locked_file(session, caller, file_id, at_least="editor", owner_may=True)
    if file.upload_id is None or file.status != "pending":
        raise Conflict("No multipart upload is under way for this file. Delete the file to be rid of it.")
    session.delete(file)
    record_removed(session, file)


def _under_way(session: Session, caller: Principal, file_id: UUID) -> tuple[File, str]:
    file = seen_file(session, caller, file_id, at_least="editor")
    if file.upload_id is None or file.status != "pending":
        raise Conflict("No multipart upload is under way for this file.")
    return file, file.upload_id
