"""What is in the archive: a file of JSON lines for each kind of data, and the content of the person's files.

Everything is read a piece at a time, and no connection to the database is held while something is sent.
"""

import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from io import RawIOBase
from typing import IO, NamedTuple, cast
from uuid import UUID

from quintet.aws import s3
from quintet.db.reads import rows
from quintet.db.session import reading
from quintet.files.objects import is_missing, named
from quintet.observability import logger
from quintet.personal import PERSONAL, Kind

_BATCH = 1_000  # rows
_CHUNK = 1024 * 1024  # bytes
_FIRST = UUID(int=0)

_CONTENTS = """
    SELECT id, file_name, bucket, key, version_id FROM files
    WHERE owner_id = %(user)s AND status = 'ready' AND id > %(after)s ORDER BY id LIMIT %(limit)s"""

_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
"""What some system does not have in the names of files."""


class _Content(NamedTuple):
    id: UUID
    file_name: str
    bucket: str
    key: str
    version_id: str | None


def write_archive(target: RawIOBase, user_id: UUID) -> None:
    """Write the ZIP archive of everything there is of a person; `target` need not be able to seek."""
    with zipfile.ZipFile(cast("IO[bytes]", target), "w") as archive:
        archive.writestr(_entry("README.txt"), _readme())
        for table, kind in PERSONAL.items():
            if kind.exported:
                with archive.open(_entry(f"{table}.jsonl"), "w", force_zip64=True) as lines:
                    for batch in _batches(kind, user_id):
                        lines.write("".join(f"{line}\n" for line in batch).encode())
        for content in _contents(user_id):
            _add(archive, content)


def _batches(kind: Kind, user_id: UUID) -> Iterator[list[str]]:
    if not kind.key:
        with reading() as session:
            found = rows(session, f"SELECT row_to_json(r)::text AS line FROM ({kind.exported}) r", {"user": user_id})
        yield [row.line for row in found]
        return
    sql = f"""
        SELECT row_to_json(r)::text AS line, r.{kind.key} AS key FROM ({kind.exported}) r
        WHERE r.{kind.key} > %(after)s ORDER BY r.{kind.key} LIMIT %(limit)s"""
    after, found = _FIRST, []
    while not found or len(found) == _BATCH:
        with reading() as session:
            found = rows(session, sql, {"user": user_id, "after": after, "limit": _BATCH})
        if not found:
            break
        yield [row.line for row in found]
        after = found[-1].key


def _contents(user_id: UUID) -> Iterator[_Content]:
    after = _FIRST
    while True:
        with reading() as session:
            found = rows(session, _CONTENTS, {"user": user_id, "after": after, "limit": _BATCH})
        yield from (_Content(*row) for row in found)
        if len(found) < _BATCH:
            return
        after = found[-1].id


def _add(archive: zipfile.ZipFile, content: _Content) -> None:
    from botocore.exceptions import ClientError

    try:
        body = s3().get_object(**named(content.bucket, content.key, content.version_id))["Body"]
    except ClientError as error:
        if not is_missing(error):
            raise
        logger.warning("A file's object is not there.", file_id=str(content.id))
        return
    # Mostly compressed already, as pictures are.
    entry = _entry(f"files/{content.id}/{_safe(content.file_name)}", compression=zipfile.ZIP_STORED)
    with archive.open(entry, "w", force_zip64=True) as copy:
        for chunk in body.iter_chunks(_CHUNK):
            copy.write(chunk)


def _entry(name: str, *, compression: int = zipfile.ZIP_DEFLATED) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, datetime.now(UTC).timetuple()[:6])
    entry.compress_type = compression
    return entry


def _safe(name: str) -> str:
    """A name that leads nowhere else when it is unpacked."""
    return _UNSAFE.sub("_", name).strip(". ") or "_"


def _readme() -> str:
    kinds = "\n".join(f"  {table}.jsonl" for table, kind in PERSONAL.items() if kind.exported)
    left_out = "\n".join(f"  {table}: {kind.left_out}" for table, kind in PERSONAL.items() if kind.left_out)
    return (
        "Everything that Quintet has of you.\n\n"
        f"One JSON object on each line (UTF-8; times as RFC 3339 has them):\n{kinds}\n\n"
        "The content of your files is in files/<id>/<name>.\n\n"
        f"Left out:\n{left_out}\n"
    )
