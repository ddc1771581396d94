"""What every queue consumer shares: partial batches, and deliveries that are done once.

A delivery is claimed (a lease keeps a second consumer away), acted on with no session held, and set done. Dying
in between means it is done again; dying after the provider accepted means twice, which is the price of never losing it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSEvent, SQSRecord
from sqlalchemy.orm import Session

from quintet.db.session import writing
from quintet.events.record import Origin, originate
from quintet.observability import LambdaHandler, logger, observed

_CLAIM = """
    UPDATE deliveries d
    SET attempts = d.attempts + 1, lease_until = now() + make_interval(secs => %(lease)s),
        next_attempt_at = now() + make_interval(secs => %(lease)s)
    FROM events e
    WHERE d.event_id = ANY (%(event_ids)s) AND e.id = ANY (%(event_ids)s) AND e.id = d.event_id
      AND d.destination = %(destination)s
      AND d.done_at IS NULL AND (d.lease_until IS NULL OR d.lease_until < now())
    RETURNING e.id, e.type, e.subject_id, e.actor_id, e.data, e.scope, d.destination"""

_DONE = """
    UPDATE deliveries SET done_at = now(), lease_until = NULL, error = %(note)s
    WHERE event_id = ANY (%(event_ids)s) AND destination = %(destination)s"""

_FAILED = """
    UPDATE deliveries
    SET lease_until = NULL, error = %(note)s,
        -- The queue itself delivers a failed message again within ten minutes; the dispatcher takes over after that.
        next_attempt_at = now() + interval '1 minute' * greatest(10, least(power(2, attempts), 360))
    WHERE event_id = ANY (%(event_ids)s) AND destination = %(destination)s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A delivery that is ours until its lease runs out."""

    id: UUID
    type: str
    subject_id: UUID | None
    actor_id: UUID | None
    data: dict[str, Any]
    scope: str
    destination: str


def consumer(process: Callable[[SQSRecord], None]) -> LambdaHandler:
    """A Lambda handler that gives each SQS message to `process` and reports those that raised, and no others.

    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
    """

    def process_and_log(record: SQSRecord) -> None:
        try:
            process(record)
        except Exception:
            logger.exception("A record failed; it will come again.", message_id=record.message_id)
            raise

    @observed
    def handler(event: dict[str, Any], context: Any) -> Any:
        processor = BatchProcessor(EventType.SQS, raise_on_entire_batch_failure=False)
        return process_partial_response(event, process_and_log, processor, context)

    return handler


def batch_consumer(
    effect: Callable[[Sequence[Claimed]], str | None], *, destination: str, lease_seconds: int
) -> LambdaHandler:
    """A Lambda handler that gives `effect` all deliveries of a batch at once; when it raises, all of them come again.

    For effects that cost less together, and whose repetition does no harm.
    """

    @observed
    def handler(event: dict[str, Any], context: Any) -> Any:
        messages: dict[UUID, list[str]] = {}
        failed = []
        for record in SQSEvent(event).records:
            try:
                if record.json_body["destination"] != destination:
                    raise ValueError("It is for somebody else.")
                messages.setdefault(UUID(record.json_body["event_id"]), []).append(record.message_id)
            except (ValueError, KeyError, TypeError):
                logger.exception("A record makes no sense.", message_id=record.message_id)
                failed.append(record.message_id)
        try:
            _deliver(list(messages), destination, effect, lease_seconds)
        except Exception:
            logger.exception("A batch failed; it will come again.", messages=len(messages))
            failed += [id for ids in messages.values() for id in ids]
        return {"batchItemFailures": [{"itemIdentifier": id} for id in failed]}

    return handler


def deliver(message: SQSRecord, effect: Callable[[Claimed], str | None], *, lease_seconds: int) -> None:
    """Act on the delivery a queue message names, unless that is done or being done.

    `effect` may return a note to keep (why nothing was sent). `lease_seconds` is more than the function's timeout.
    """
    named = message.json_body

    def one(claimed: Sequence[Claimed]) -> str | None:
        return effect(claimed[0])

    _deliver([UUID(named["event_id"])], str(named["destination"]), one, lease_seconds)


def _deliver(
    event_ids: list[UUID],
    destination: str,
    effect: Callable[[Sequence[Claimed]], str | None],
    lease_seconds: int,
) -> None:
    key = {"event_ids": event_ids, "destination": destination}
    with writing() as session:
        rows = session.connection().exec_driver_sql(_CLAIM, {**key, "lease": lease_seconds}).mappings().all()
    if not rows:
        return
    key["event_ids"] = [row["id"] for row in rows]
    try:
        note = effect([Claimed(**row) for row in rows])
    except Exception as error:
        with writing() as session:
            # The class alone: a message may quote an address or a token.
            session.connection().exec_driver_sql(_FAILED, {**key, "note": type(error).__name__})
        raise
    with writing() as session:
        session.connection().exec_driver_sql(_DONE, {**key, "note": note})


def started_by(session: Session, message: SQSRecord) -> None:
    """Put what this session records down to the queue message."""
    originate(session, Origin(request_id=message.message_id))
