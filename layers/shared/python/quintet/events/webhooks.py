"""Deliveries to webhooks, and the queue they are sent from."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.events.outbox import send_messages_after_commit

QUEUE = "webhooks"


def message(delivery_id: UUID) -> dict[str, Any]:
    """What the queue is told about a delivery to be tried."""
    return {"delivery_id": str(delivery_id)}


def send_after_commit(session: Session, deliveries: Sequence[UUID]) -> None:
    """Have deliveries tried once the transaction has committed; the dispatcher sends what this misses."""
    send_messages_after_commit(session, QUEUE, [message(id) for id in deliveries])
