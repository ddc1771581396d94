"""The list of an import's failed rows: as they came, with line and reason, to be corrected and imported again."""

import csv
import io
import tempfile
from collections.abc import Iterator
from typing import IO
from uuid import UUID

from quintet.aws import s3
from quintet.config import settings
from quintet.db.models.files import File
from quintet.db.session import reading, writing
from quintet.files.objects import key_of
from quintet.imports.mapping import OURS
from quintet.spreadsheets import neutral

_LACKING = """
    SELECT created_by FROM campaign_uploads
    WHERE id = %(id)s AND rows_invalid > 0 AND failed_rows_file IS NULL"""

_LISTED = "UPDATE campaign_uploads SET failed_rows_file = %(file)s WHERE id = %(id)s"

_COLUMNS = "SELECT mapping -> 'columns' FROM campaign_uploads WHERE id = %(id)s"

# As many as are a few megabytes, and one at least.
_FAILURES = """
    SELECT line, reason, cells FROM (
        SELECT *, sum(size) OVER (ORDER BY line) AS so_far FROM (
            SELECT line, reason, cells, octet_length(cells::text) AS size FROM upload_failures
            WHERE upload_id = %(id)s AND line > %(after)s ORDER BY line LIMIT 2000) next) summed
    WHERE so_far - size < 2000000 ORDER BY line"""


def list_cancelled(upload_id: UUID) -> None:
    """Write the list of an import that was broken off, unless it is there or would be empty."""
    with reading() as session:
        owner_id = session.connection().exec_driver_sql(_LACKING, {"id": upload_id}).scalar_one_or_none()
    if owner_id is None or (file := write_list(upload_id, owner_id)) is None:
        return
    with writing() as session:
        session.add(file)
        session.flush()
        session.connection().exec_driver_sql(_LISTED, {"id": upload_id, "file": file.id})


def write_list(upload_id: UUID, owner_id: UUID) -> File | None:
    """The list as a CSV file in S3, and its row of `files`, not yet added; None when every row was taken.

    Its columns have the names they came with, by which `mapping_of_list` knows them.
    """
    with reading() as session:
        columns = session.connection().exec_driver_sql(_COLUMNS, {"id": upload_id}).scalar_one()
    with tempfile.TemporaryFile("w+b") as content:
        text = io.TextIOWrapper(content, encoding="utf-8-sig", newline="", write_through=True)
        writer, count = csv.writer(text), 0
        for line, reason, cells in _failures(upload_id):
            if not count:
                writer.writerow([name.capitalize() for name in OURS] + [neutral(name) for name in columns or ()])
            writer.writerow([line, neutral(reason), *map(neutral, cells)])
            count += 1
        if not count:
            return None
        text.detach()
        return _stored(upload_id, owner_id, content)


def _failures(upload_id: UUID) -> Iterator[tuple[int, str, list[str]]]:
    after = 0
    with reading() as session:
        while rows := session.connection().exec_driver_sql(_FAILURES, {"id": upload_id, "after": after}).all():
            yield from (tuple(row) for row in rows)
            after = rows[-1].line


def _stored(upload_id: UUID, owner_id: UUID, content: IO[bytes]) -> File:
    size = content.tell()
    content.seek(0)
    with reading() as session:
        file_id: UUID = session.connection().exec_driver_sql("SELECT uuidv7()").scalar_one()
    bucket, key = settings().files_bucket, key_of(file_id)
    version = s3().put_object(Bucket=bucket, Key=key, Body=content, ContentType="text/csv").get("VersionId")
    return File(
        id=file_id,
        owner_id=owner_id,
        file_name=f"failed-rows-{upload_id}.csv",
        bucket=bucket,
        key=key,
        content_type="text/csv",
        detected_type="text/csv",
        size=size,
        purpose="campaign_data",
        status="ready",
        version_id=version,
    )
