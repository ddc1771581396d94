"""Months of events past retention go to S3 as JSON lines, and are dropped once they are seen to be all there.

Broken off anywhere, the next run begins with the same month again: the table is there until the archive is whole.
Addresses of networks are left out: of somebody whose account is erased later they could not be taken out of it.
"""

import gzip
import json
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import IO, cast

from sqlalchemy import Connection

from quintet.aws import s3
from quintet.config import settings
from quintet.db.engine import owner_engine
from quintet.db.json import timestamp
from quintet.db.partitions import month_of, oldest_kept, partition_name
from quintet.db.session import reading
from quintet.observability import logger

_FETCHED = 1_000  # rows held at once

_ROWS = f"""
    SELECT row_to_json(r)::text FROM (
        SELECT id, transaction_id, {timestamp("at")} AS at, actor_id, type, subject_type, subject_id, data, scope,
               request_id
        FROM {{table}} ORDER BY id) r"""

# By name rather than as children of `events`: one that was detached before a crash is still to be dropped. First
# one that a crash left half detached: no other can be detached before that is done.
_TABLES = r"""
    SELECT c.relname AS name, i.inhparent IS NOT NULL AS attached, coalesce(i.inhdetachpending, false) AS detaching
    FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^events_\d{4}_\d\d$'
    ORDER BY detaching DESC, name"""


def key_of(month: datetime) -> str:
    """Where a month's events are in the archive bucket."""
    return f"events/{month:%Y}/{partition_name(month)}.jsonl.gz"


def archive_old_partitions(time_left: Callable[[], bool]) -> dict[str, int]:
    """Archive and drop the months before those that are kept; returns how many events each had."""
    archived = {}
    with reading(owner=True) as session:
        tables = session.connection().exec_driver_sql(_TABLES).all()
    for table in tables:
        if month_of(table.name) < oldest_kept() and time_left():
            archived[table.name] = _archive(table.name, attached=table.attached, detaching=table.detaching)
    return archived


def _archive(table: str, *, attached: bool, detaching: bool) -> int:
    key = key_of(month_of(table))
    upload(table, key)
    stored = _count_stored(key)
    with reading(owner=True) as session:  # no transaction may be open
        connection = session.connection()
        if attached:
            # Locks nobody out, and waits for those who still read it.
            how = "FINALIZE" if detaching else "CONCURRENTLY"
            connection.exec_driver_sql(f"ALTER TABLE events DETACH PARTITION {table} {how}")
        rows = _count(connection, table)
        if stored != rows:
            raise RuntimeError(f"{table} has {rows} events, its archive {stored}; it stays")
        connection.exec_driver_sql(f"DROP TABLE {table}")
    logger.info("Archived %s events of %s.", rows, table, key=key)
    return rows


def upload(table: str, key: str) -> None:
    """Stream the table into the object, some megabytes at a time."""
    from boto3.s3.transfer import TransferConfig

    with owner_engine().connect() as connection:  # in a transaction, as a cursor on the server must be
        rows = connection.execution_options(yield_per=_FETCHED).exec_driver_sql(_ROWS.format(table=table)).scalars()
        s3().upload_fileobj(
            cast("IO[bytes]", _Compressed(rows)),
            settings().archive_bucket,
            key,
            ExtraArgs={"ContentType": "application/gzip"},
            Config=TransferConfig(max_concurrency=2),
        )


class _Compressed:
    """A file to read that holds `lines` as gzip (RFC 1952), compressed as they are asked for."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._chunks = self._compress(lines)
        self._held = bytearray()

    def read(self, size: int = -1) -> bytes:
        """The next bytes; fewer than `size` at the end only, and all of them without it."""
        wanted = sys.maxsize if size < 0 else size
        while len(self._held) < wanted and (chunk := next(self._chunks, None)) is not None:
            self._held += chunk
        taken = bytes(memoryview(self._held)[:wanted])
        del self._held[:wanted]
        return taken

    @staticmethod
    def _compress(lines: Iterable[str]) -> Iterator[bytes]:
        gzip_format = zlib.compressobj(wbits=31)
        for line in lines:
            yield gzip_format.compress(line.encode() + b"\n")
        yield gzip_format.flush()


def _count_stored(key: str) -> int:
    """How many whole events the object holds, read back."""
    body = s3().get_object(Bucket=settings().archive_bucket, Key=key)["Body"]
    with gzip.open(body) as lines:
        return sum(1 for line in lines if json.loads(line)["id"])


def _count(connection: Connection, table: str) -> int:
    count: int = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one()
    return count
