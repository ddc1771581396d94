"""What has expired is removed, in batches that lock little and can be broken off."""

from collections.abc import Callable
from uuid import UUID

from botocore.exceptions import ClientError
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
    SELECT id, bucket, key, created_at FROM files
    WHERE status = 'pending' AND created_at < now() - interval '3 days' AND (created_at, id) > (%(at)s, %(id)s)
    ORDER BY created_at, id LIMIT 100"""

_ABANDON = """
    DELETE FROM files WHERE id = %(id)s AND status = 'pending'
    RETURNING owner_id, project_id, bucket, key, upload_id"""


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
    """Remove files whose object never arrived; returns how many.

    By then no link of theirs works. An object that is there after all is left for the dispatcher.
    """
    removed, at, id = 0, "-infinity", UUID(int=0)
    while time_left():
        with owner_engine().connect() as connection:
            files = connection.exec_driver_sql(_ABANDONED, {"at": at, "id": id}).all()
        for file in files:
            removed += not _arrived(file.bucket, file.key) and _abandon(file.id)
        if not files:
            break
        at, id = files[-1].created_at, files[-1].id
    return removed


def _abandon(file_id: UUID) -> bool:
    """As if its owner had deleted it: what there is of it in S3 is removed by whom the event is delivered to."""
    with Session(owner_engine()) as session, session.begin():
        file = session.connection().exec_driver_sql(_ABANDON, {"id": file_id}).one_or_none()
        if file is None:
            return False
        scope = scope_of("project", file.project_id) if file.project_id else scope_of("user", file.owner_id)
        data = {"bucket": file.bucket, "key": file.key, "upload_id": file.upload_id}
        record(session, EventType.FILE_REMOVED, subject=file_id, scope=scope, data=data)
    return True


def _arrived(bucket: str, key: str) -> bool:
    try:
        s3().head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True
