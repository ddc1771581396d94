"""Uploads of campaigns and the queue they are worked on from."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.db.models.files import File
from quintet.events.outbox import send_messages_after_commit
from quintet.events.record import record, scope_of
from quintet.events.types import EventType

QUEUE = "campaigns"

_OF_FILE = "SELECT id FROM campaign_uploads WHERE file_id = %(file)s AND status = 'uploaded'"

_REFUSED = """
    UPDATE campaign_uploads
    SET status = 'failed', reason = %(reason)s, processed_at = now(), updated_at = now(), version = version + 1
    WHERE file_id = %(file)s AND status = 'uploaded'"""

_SHARED_OUT = "SELECT id FROM campaigns WHERE id = %(campaign)s AND distributed"


def message(upload_id: UUID) -> dict[str, Any]:
    """What the queue is told about an upload to be worked on."""
    return {"upload_id": str(upload_id)}


def send_after_commit(session: Session, upload_id: UUID) -> None:
    """Have the upload worked on once the transaction has committed; the dispatcher sends what this misses."""
    send_messages_after_commit(session, QUEUE, [message(upload_id)])


def file_decided(session: Session, file: File) -> None:
    """What waits for this file goes on, or fails with it."""
    if file.status == "rejected":
        session.connection().exec_driver_sql(_REFUSED, {"file": file.id, "reason": file.reason})
    else:
        for upload_id in session.connection().exec_driver_sql(_OF_FILE, {"file": file.id}).scalars():
            send_after_commit(session, upload_id)


def contacts_came(session: Session, campaign_id: UUID) -> None:
    """Have an import's contacts shared out, if those of its campaign are."""
    if session.connection().exec_driver_sql(_SHARED_OUT, {"campaign": campaign_id}).one_or_none():
        scope = scope_of("campaign", campaign_id)
        record(session, EventType.CAMPAIGN_DISTRIBUTION_REQUESTED, subject=campaign_id, scope=scope)
