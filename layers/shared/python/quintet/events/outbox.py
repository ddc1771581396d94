"""From a committed delivery to its queue: at once and best effort; what that misses the dispatcher sends."""

import json
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.aws import sqs
from quintet.config import settings
from quintet.db.session import after_commit
from quintet.observability import logger

Outgoing = tuple[UUID, str]
"""An event's id and a delivery's destination."""

_BATCH = 10  # SQS takes no more at once
_AT_MOST = 500
"""Of one transaction: more would keep its caller waiting for seconds. The dispatcher sends the rest within minutes."""


def send_after_commit(session: Session, event_id: UUID, destination: str) -> None:
    """Send this delivery to its queue once the transaction has committed."""
    outbox: list[Outgoing] | None = session.info.get("outbox")
    if outbox is None:
        outbox = session.info["outbox"] = []

        def flush() -> None:
            send(session.info.pop("outbox")[:_AT_MOST])

        after_commit(session, flush)
    outbox.append((event_id, destination))


def send(outgoing: Iterable[Outgoing]) -> set[str]:
    """Send deliveries to their queues; returns the queues that failed.

    Never raises: the rows are committed, and the dispatcher tries again.
    """
    failed = set()
    by_queue: dict[str, list[dict[str, str]]] = {}
    for event_id, destination in outgoing:
        message = {"event_id": str(event_id), "destination": destination}
        by_queue.setdefault(queue_of(destination), []).append(message)
    for queue, messages in by_queue.items():
        try:
            send_messages(queue, messages)
        except Exception:
            logger.warning("Could not send to the queue %s; the dispatcher will.", queue, exc_info=True)
            failed.add(queue)
    return failed


def send_messages_after_commit(session: Session, queue: str, messages: Sequence[Any], *, delay: int = 0) -> None:
    """`send_messages` once the transaction has committed, for what the dispatcher sends when this fails."""

    def send_all() -> None:
        try:
            send_messages(queue, messages, delay=delay)
        except Exception:
            logger.warning("Could not send to the queue %s; the dispatcher will.", queue, exc_info=True)

    after_commit(session, send_all)


def send_messages(queue: str, messages: Sequence[Any], *, delay: int = 0) -> None:
    """Put JSON messages on a queue, ten a call, to come `delay` seconds later; raises when one is refused."""
    rest = iter(messages)
    while batch := list(islice(rest, _BATCH)):
        answer = sqs().send_message_batch(
            QueueUrl=settings().queue_urls[queue],
            Entries=[
                {"Id": str(n), "MessageBody": json.dumps(message), "DelaySeconds": delay}
                for n, message in enumerate(batch)
            ],
        )
        if failed := answer.get("Failed"):
            raise RuntimeError(f"{queue} refused {len(failed)} of {len(batch)} messages: {failed[0].get('Code')}")


def queue_of(destination: str) -> str:
    """The queue of a destination, which may name a recipient after a colon."""
    return destination.partition(":")[0]
