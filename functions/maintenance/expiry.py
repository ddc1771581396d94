"""What has expired is removed, in batches that lock little and can be broken off."""

from collections import Counter
from collections.abc import Callable
from uuid import UUID

from sqlalchemy import delete

from quintet.db.models.files import File
from quintet.db.partitions import oldest_kept, uuid_at
from quintet.db.session import reading, writing
from quintet.events.record import record_all
from quintet.exports import give_up, removed_export
from quintet.files.events import record_removed
from quintet.files.objects import head

BATCH = 5_000

EXPIRED: tuple[tuple[str, str], ...] = (
    ("sessions", "expires_at < now() - interval '30 days' OR revoked_at < now() - interval '30 days'"),
    ("one_time_tokens", "expires_at < now() - interval '7 days'"),
    ("former_addresses", "event_id < (SELECT uuidv7(interval '-30 days'))"),  # whoever was there has long been told
    ("idempotency_keys", "expires_at < now()"),
    ("connections", "connected_at < now() - interval '3 hours'"),
    ("rate_counters", "window_ends_at < now()"),
    (
        "contact_staging",
        "NOT EXISTS (SELECT FROM campaign_uploads u WHERE u.id = upload_id AND u.status = 'processing')",
    ),
    # What was said in conversations that were removed, then they themselves.
    ("messages", "conversation_id = ANY (ARRAY(SELECT id FROM conversations WHERE removed_at IS NOT NULL))"),
    (
        "conversations",
        "removed_at IS NOT NULL AND NOT EXISTS (SELECT FROM messages m WHERE m.conversation_id = conversations.id)",
    ),
    ("integration_requests", "id < (SELECT uuidv7(interval '-90 days')) AND finished_at IS NOT NULL"),
    ("integrations", "status = 'pending' AND updated_at < now() - interval '7 days'"),
    ("webhook_deliveries", "id < (SELECT uuidv7(interval '-30 days')) AND status <> 'pending'"),
    ("notifications", "read_at < now() - interval '90 days'"),
    ("notifications", "id < (SELECT uuidv7(interval '-13 months'))"),  # not as one condition, which no index serves
    ("ai_chunks", "message_id < (SELECT uuidv7(interval '-1 day'))"),  # an answer that has ended has its content
    ("ai_usage", "day < current_date - 400"),
    ("task_reminders", "due_date < now() - interval '30 days'"),
    ("deliveries", "done_at < now() - interval '30 days' OR event_id < %(oldest_kept)s"),
)
"""Table, and which of its rows nobody needs any more."""

# Whoever holds a row is using it: it is left for tomorrow.
_REMOVE = """
    DELETE FROM {table} WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM {table} WHERE {expired} LIMIT {batch} FOR UPDATE SKIP LOCKED))"""

_EXPIRE_EXPORTS = """
    UPDATE exports SET status = 'expired', version = version + 1, updated_at = now()
    WHERE id IN (SELECT id FROM exports WHERE status = 'ready' AND expires_at < now() LIMIT %(limit)s)
    RETURNING id, user_id, bucket, key"""

_FORGET = """
    UPDATE webhooks SET former_secret = NULL, former_secret_until = NULL WHERE former_secret_until < now()"""

_ABANDONED = """
    SELECT id, bucket, key, created_at FROM files
    WHERE status = 'pending' AND created_at < now() - interval '3 days' AND (created_at, id) > (%(at)s, %(id)s)
    ORDER BY created_at, id LIMIT 100"""


def remove_expired_rows(time_left: Callable[[], bool]) -> dict[str, int]:
    """Remove expired rows while there is time; returns how many of each table."""
    removed: Counter[str] = Counter()
    for table, expired in EXPIRED:
        removed[table] += _remove(table, expired, time_left)
    return dict(removed)


def forget_former_secrets() -> int:
    """Remove webhooks' secrets that sign no more; returns how many."""
    with writing(owner=True) as session:
        return session.connection().exec_driver_sql(_FORGET).rowcount


def _remove(table: str, expired: str, time_left: Callable[[], bool]) -> int:
    removed, batch = 0, BATCH
    statement = _REMOVE.format(table=table, expired=expired, batch=BATCH)
    while batch == BATCH and time_left():
        with writing(owner=True) as session:
            batch = session.connection().exec_driver_sql(statement, {"oldest_kept": uuid_at(oldest_kept())}).rowcount
        removed += batch
    return removed


def remove_abandoned_uploads(time_left: Callable[[], bool]) -> int:
    """Remove files whose object never arrived; returns how many.

    By then no link of theirs works. An object that is there after all is left for the dispatcher.
    """
    removed, at, id = 0, "-infinity", UUID(int=0)
    while time_left():
        with reading(owner=True) as session:
            files = session.connection().exec_driver_sql(_ABANDONED, {"at": at, "id": id}).all()
        for file in files:
            removed += head(file.bucket, file.key) is None and _abandon(file.id)
        if not files:
            break
        at, id = files[-1].created_at, files[-1].id
    return removed


def expire_exports(time_left: Callable[[], bool]) -> int:
    """Have the archives removed that were kept long enough, or could not be made; returns how many of the former."""
    with writing(owner=True) as session:
        give_up(session)
    expired, batch = 0, BATCH
    while batch == BATCH and time_left():
        with writing(owner=True) as session:
            found = session.connection().exec_driver_sql(_EXPIRE_EXPORTS, {"limit": BATCH}).all()
            record_all(session, [removed_export(row.id, row.user_id, row.bucket, row.key, None) for row in found])
        batch = len(found)
        expired += batch
    return expired


def _abandon(file_id: UUID) -> bool:
    """As if its owner had deleted it: what there is of it in S3 is removed by whom the event is delivered to."""
    with writing(owner=True) as session:
        file = session.scalar(delete(File).where(File.id == file_id, File.status == "pending").returning(File))
        if file is not None:
            record_removed(session, file)
    return file is not None
