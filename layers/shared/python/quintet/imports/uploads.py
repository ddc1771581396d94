"""Uploads of campaigns and the queue they are worked on from."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.db.models.files import File
from quintet.events.outbox import send_messages_after_commit
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.imports.mapping import returned
from quintet.imports.tables import Row

QUEUE = "campaigns"

_OF_FILE = "SELECT id FROM campaign_uploads WHERE file_id = %(file)s AND status = 'uploaded'"

_WAITING = """
    SELECT u.id FROM campaign_uploads u JOIN files f ON f.id = u.file_id
    WHERE u.campaign_id = %(campaign)s AND u.status = 'uploaded' AND f.status = 'ready' ORDER BY u.id"""

_REFUSED = """
    UPDATE campaign_uploads
    SET status = 'failed', reason = %(reason)s, processed_at = now(), updated_at = now(), version = version + 1
    WHERE file_id = %(file)s AND status = 'uploaded'
    RETURNING id, campaign_id, created_by, dry_run"""
_COUNTS = ("rows_total", "rows_created", "rows_updated", "rows_duplicate", "rows_invalid")

_SHARED_OUT = "SELECT id FROM campaigns WHERE id = %(campaign)s AND distributed"

_OF_LIST = """
    SELECT mapping FROM campaign_uploads
    WHERE campaign_id = %(campaign)s AND rows_invalid > 0 AND mapping -> 'columns' = %(columns)s
    ORDER BY id DESC LIMIT 1"""


def message(upload_id: UUID) -> dict[str, Any]:
    """What the queue is told about an upload to be worked on."""
    return {"upload_id": str(upload_id)}


def send_after_commit(session: Session, upload_id: UUID) -> None:
    """Have the upload worked on once the transaction has committed; the dispatcher sends what this misses."""
    send_messages_after_commit(session, QUEUE, [message(upload_id)])


def file_decided(session: Session, file: File) -> None:
    """What waits for this file goes on, or fails with it."""
    if file.status == "rejected":
        refused = session.connection().exec_driver_sql(_REFUSED, {"file": file.id, "reason": file.reason})
        for id, campaign_id, owner_id, dry_run in refused.all():
            data = {"campaign_id": str(campaign_id), "dry_run": dry_run, **dict.fromkeys(_COUNTS, 0)}
            scope, failed = scope_of("campaign", campaign_id), EventType.CAMPAIGN_UPLOAD_FAILED
            record(session, failed, subject=id, scope=scope, data=data, actor_id=owner_id)
    else:
        for upload_id in session.connection().exec_driver_sql(_OF_FILE, {"file": file.id}).scalars():
            send_after_commit(session, upload_id)


def undone(session: Session, campaign_id: UUID) -> None:
    """What waits for an import of the campaign to be undone goes on."""
    for upload_id in session.connection().exec_driver_sql(_WAITING, {"campaign": campaign_id}).scalars():
        send_after_commit(session, upload_id)


def mapping_of_list(session: Session, campaign_id: UUID, sample: Sequence[Row]) -> dict[str, Any] | None:
    """How a list of failed rows that comes back is to be read: as the last table with its columns was.

    None when `sample`, the first rows, is no such list, or nobody knows the table.
    """
    from psycopg.types.json import Jsonb

    columns = returned(sample)
    if columns is None:
        return None
    found: dict[str, Any] | None = (
        session.connection()
        .exec_driver_sql(_OF_LIST, {"campaign": campaign_id, "columns": Jsonb(columns)})
        .scalar_one_or_none()
    )
    return found


def contacts_came(session: Session, campaign_id: UUID) -> None:
    """Have an import's contacts shared out, if those of its campaign are."""
    if session.connection().exec_driver_sql(_SHARED_OUT, {"campaign": campaign_id}).one_or_none():
        scope = scope_of("campaign", campaign_id)
        record(session, EventType.CAMPAIGN_DISTRIBUTION_REQUESTED, subject=campaign_id, scope=scope)
