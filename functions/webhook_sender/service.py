"""From an event to its webhooks, and from a delivery to an attempt at it.

The queue carries both: an event, of which a delivery for each webhook is made, and those deliveries, each by a message
of its own, so that one receiver's trouble is its own. A failed attempt is acknowledged and stands in the database
until its time; then the dispatcher sends it again.
"""

import time
from typing import TYPE_CHECKING, Any
from uuid import UUID

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from sqlalchemy.orm import Session

from functions.manifest import FUNCTIONS, lease
from functions.webhook_sender import queries
from functions.webhook_sender.posting import Answer, post
from functions.webhook_sender.schedule import Verdict, judge
from quintet.db.session import writing
from quintet.events.consumer import Claimed, deliver, started_by
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.events.webhooks import send_after_commit
from quintet.observability import logger

if TYPE_CHECKING:
    from quintet.db.models.webhooks import PausedReason

_LEASE = lease(FUNCTIONS["webhook_sender"])


def process(message: SQSRecord) -> None:
    """Do what one queue message asks for, unless that is done."""
    if delivery_id := message.json_body.get("delivery_id"):
        attempt(UUID(delivery_id), message)
    else:
        deliver(message, plan, lease_seconds=_LEASE)


def plan(event: Claimed) -> None:
    """Make a delivery for each webhook that gets the event, and send them on their way."""
    with writing() as session:
        send_after_commit(session, queries.plan(session, event))


def attempt(delivery_id: UUID, message: SQSRecord) -> None:
    """Try a delivery once, if it is due and nobody else is at it; what came of it is in its row.

    Whoever dies between the receiver's answer and the commit has it sent again, under the same `webhook-id`.
    """
    with writing() as session:
        claimed = queries.claim(session, delivery_id, lease=_LEASE)
        if claimed is None:
            return
        found = queries.load(session, claimed)
        permitted = found.scope is not None and queries.permitted(
            session, claimed.webhook_id, type=found.type, scope=found.scope
        )
    answer, latency_ms, slow = Answer(), None, found.slow
    if not claimed.active:
        verdict = Verdict("failed", "Not sent: the webhook is paused.")
    elif not permitted:
        verdict = Verdict("failed", "Not sent: its owner may no longer read the event.")
    else:
        secrets = [secret for secret in (found.secret, found.former_secret) if secret is not None]
        began = time.monotonic()
        answer = post(found.url, found.body.encode(), id=claimed.event_id, secrets=secrets)
        latency_ms = round((time.monotonic() - began) * 1000)
        verdict = judge(answer, claimed.attempts, claimed.tried_for)
        slow = latency_ms >= queries.SLOW_MS and verdict.status != "delivered"
    with writing() as session:
        started_by(session, message)
        # The webhook before its delivery, as whoever deletes both locks them.
        if verdict.pause == "gone" or (verdict.pause and not queries.is_alive(session, claimed.webhook_id)):
            _pause(session, claimed.webhook_id, found, reason=verdict.pause)
        if slow != found.slow:
            queries.note_slow(session, claimed.webhook_id, url=found.url, slow=slow)
        queries.finish(
            session,
            claimed,
            status=verdict.status,
            status_code=answer.status,
            error=verdict.error,
            latency_ms=latency_ms,
            again_in=verdict.again_in,
        )
    logger.info(
        "A webhook was tried.",
        delivery_id=str(delivery_id),
        webhook_id=str(claimed.webhook_id),
        status=verdict.status,
        status_code=answer.status,
        ms=latency_ms,
    )


def _pause(session: Session, webhook_id: UUID, found: Any, *, reason: "PausedReason") -> None:
    """Pause the webhook and have its owner told, once, unless it is at another address by now."""
    if queries.pause(session, webhook_id, url=found.url, reason=reason):
        scope = scope_of("user", found.owner_id)
        record(session, EventType.WEBHOOK_PAUSED, subject=webhook_id, scope=scope, data={"reason": reason})
