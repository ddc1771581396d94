"""The queue that integrations are worked on from."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.events.outbox import send_messages_after_commit

QUEUE = "integrations"


def sync_message(integration_id: UUID) -> dict[str, Any]:
    """What the queue is told about an integration whose data is to be fetched."""
    return {"integration_id": str(integration_id)}


def request_message(request_id: UUID) -> dict[str, Any]:
    """What the queue is told about a request to be worked on."""
    return {"request_id": str(request_id)}


def send_after_commit(session: Session, message: dict[str, Any], *, delay: int = 0) -> None:
    """Have it worked on `delay` seconds after the commit; the dispatcher sends what this misses."""
    send_messages_after_commit(session, QUEUE, [message], delay=delay)
