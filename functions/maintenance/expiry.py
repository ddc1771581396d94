"""What has expired is removed, in batches that lock little and can be broken off."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from botocore.exceptions import ClientError
from sqlalchemy import Row
from sqlalchemy.orm import Session

from quintet.aws import s3
from quintet.db.engine import owner_engine
from quintet.db.partitions import oldest_kept, uuid_at
from quintet.events.record import record, scope_of
from quintet.events.types import EventType

BATCH = 5_000

EXPIRED: tuple[tuple[str, str], ...] = (
    ("sessions", "expires_at < now() - interval '30 days' OR revoked_at < now() - interval '30 days'"),
    ("one_time_tokens", "expires_at < now() - interval '7 days'"),
    ("idempotency_keys", "expires_at < now()"),
    ("rate_counters", "window_ends_at < now()"),
    ("deliveries", "done_at < now() - interval '30 days' OR event_id < %(oldest_kept)s"),
)
"""Table, and which of its rows nobody needs any more."""

# Whoever holds a row is using it: it is left for tomorrow.
_REMOVE = """
    DELETE FROM {table} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {table} WHERE {expired} LIMIT {batch} FOR UPDATE SKIP LOCKED))"""

_ABANDONED = """
    SELECT id, bucket, key, upload_id, created_at FROM files
    WHERE status = 'pending' AND created_at < now() - interval '2 days' AND (created_at, id) > (%(at)s, %(id)s)
    ORDER BY created_at, id LIMIT 100"""


def remove_expired_rows(time_left: Callable[[], bool]) -> dict[str, int]:
    """Remove expired rows while there is time; returns how many of each table."""
    return {table: _remove(table, expired, time_left) for table, expired in EXPIRED}


def _remove(table: str, expired: str, time_left: Callable[[], bool]) -> int:
    removed, batch = 0, BATCH
    statement = _REMOVE.format(table=table, expired=expired, batch=BATCH)
    while batch == BATCH and time_left():
        with owner_engine().begin() as connection:
            batch = connection.exec_driver_sql(statement, {"oldest_kept": uuid_at(oldest_kept())}).rowcount
        removed += batch
    return removed


def remove_abandoned_uploads(time_left: Callable[[], bool]) -> int:
    """Remove files whose object never arrived, and end their multipart uploads; returns how many.

    By then every presigned link has run out. An object that is there after all is left for the dispatcher.
    """
    removed, at, id = 0, "-infinity", UUID(int=0)
    while time_left():
        with owner_engine().connect() as connection:
            files = connection.exec_driver_sql(_ABANDONED, {"at": at, "id": id}).all()
        for file in files:
            removed += _abandon(file)
        if not files:
            break
        at, id = files[-1].created_at, files[-1].id
    return removed


def _abandon(file: Row[Any]) -> int:
    if file.upload_id:
        _unless_missing(s3().abort_multipart_upload, Bucket=file.bucket, Key=file.key, UploadId=file.upload_id)
    if _unless_missing(s3().head_object, Bucket=file.bucket, Key=file.key):
        return 0
    with Session(owner_engine()) as session, session.begin():
        gone = (
            session.connection()
            .exec_driver_sql(
                "DELETE FROM files WHERE id = %(id)s AND status = 'pending' RETURNING owner_id, project_id",
                {"id": file.id},
            )
            .one_or_none()
        )
        if gone is None:
            return 0
        scope = scope_of("project", gone.project_id) if gone.project_id else scope_of("user", gone.owner_id)
        # Whoever consumes it deletes what may have arrived in this moment.
        data = {"bucket": file.bucket, "key": file.key, "upload_id": file.upload_id}
        record(session, EventType.FILE_REMOVED, subject=file.id, scope=scope, data=data)
    return 1


def _unless_missing(call: Callable[..., Any], **of: Any) -> bool:
    """Whether what is asked of S3 was there."""
    try:
        call(**of)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True
