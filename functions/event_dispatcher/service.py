"""Deliveries nobody has done, to webhooks too, uploads nobody was told of, and what is due of integrations, go to
their queues.

Rows are claimed before anything is sent, by moving on when they are looked at next: two dispatchers never have the
same one, and the longer something waits, the less often it is sent again, so that a backlog is not multiplied.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus
from uuid import UUID

from sqlalchemy import Row

from functions.event_dispatcher.tallies import merge_tallies
from quintet.db.session import writing
from quintet.events import webhooks
from quintet.events.outbox import send, send_messages
from quintet.files.objects import head
from quintet.imports.uploads import QUEUE, message
from quintet.integrations import queue as integrations
from quintet.integrations.queue import request_message, sync_message
from quintet.observability import count_metric, logger

MAX_ATTEMPTS = 20
"""Failed attempts, over a day or so, after which a delivery is left to the operator."""

BATCH = 100
"""How many are claimed at once."""

_CLAIM_DELIVERIES = """
    WITH due AS (
        SELECT event_id, destination FROM deliveries
        WHERE done_at IS NULL AND next_attempt_at <= now() AND attempts < %(max_attempts)s
        ORDER BY next_attempt_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    UPDATE deliveries d
    SET next_attempt_at = now() + greatest(
        interval '1 minute', least(now() - uuid_extract_timestamp(d.event_id), interval '6 hours'))
    FROM due WHERE d.event_id = due.event_id AND d.destination = due.destination
    RETURNING d.event_id, d.destination"""

# The row stays as it is; a hundred years on, nobody looks at it again.
_GIVE_UP = """
    UPDATE deliveries SET next_attempt_at = now() + interval '100 years'
    WHERE done_at IS NULL AND next_attempt_at <= now() AND attempts >= %(max_attempts)s
    RETURNING event_id, destination, attempts, error"""

_BEGIN_AGAIN = """
    UPDATE deliveries SET attempts = 0, next_attempt_at = now()
    WHERE done_at IS NULL AND attempts >= %(max_attempts)s
    RETURNING event_id"""

_COUNT_STUCK = """
    SELECT count(*) AS stuck FROM deliveries
    WHERE done_at IS NULL
      AND (attempts >= %(max_attempts)s OR uuid_extract_timestamp(event_id) < now() - interval '1 day')"""

# First those never looked at, then those looked at longest ago: one that never arrives keeps nobody waiting.
_CLAIM_FILES = """
    WITH due AS (
        SELECT id FROM files
        WHERE status IN ('pending', 'uploaded') AND created_at < now() - interval '1 minute'
          AND (checked_at IS NULL
               OR checked_at < now() - greatest(interval '1 minute', (checked_at - created_at) / 4))
        ORDER BY checked_at NULLS FIRST, created_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    UPDATE files f SET checked_at = now() FROM due WHERE f.id = due.id
    RETURNING f.bucket, f.key"""


# Left behind by a process that died, or never taken up. One that only waits in the queue may be sent twice.
_DUE_UPLOADS = """
    SELECT u.id FROM campaign_uploads u LEFT JOIN files f ON f.id = u.file_id
    WHERE u.status IN ('uploaded', 'processing', 'reverting')
      AND (u.status = 'reverting' OR u.file_id IS NULL OR f.status = 'ready')
      AND coalesce(u.lease_until, u.updated_at + interval '1 minute') < now()
    ORDER BY u.lease_until NULLS FIRST, u.id LIMIT %(limit)s"""

# Since it is due, a webhook's delivery may be waiting in the queue, for its owner's turn, or until it is resumed.
_CLAIM_WEBHOOKS = """
    WITH due AS (
        SELECT id FROM webhook_deliveries WHERE status = 'pending' AND next_attempt_at <= now()
        ORDER BY next_attempt_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    UPDATE webhook_deliveries d
    SET next_attempt_at = now() + greatest(
        interval '5 minutes', least(now() - coalesce(d.lease_until, d.created_at), interval '6 hours'))
    FROM due WHERE d.id = due.id
    RETURNING d.id"""

# What somebody had and left is sent at once when their lease is over. The longer something else is due, the less often
# it is sent again, so that a backlog is not multiplied.
_CLAIM_SYNCS = """
    WITH due AS (
        SELECT i.id FROM integrations i JOIN users u ON u.id = i.user_id
        WHERE i.status = 'connected' AND i.next_sync_at <= now() AND u.status = 'active'
          AND (i.sync_lease_until IS NULL OR i.sync_lease_until <= now())
          AND (i.sync_sent_at IS NULL OR i.sync_sent_at < i.sync_lease_until OR i.sync_sent_at < now() - greatest(
              interval '1 minute', least((now() - i.next_sync_at) / 2, interval '6 hours')))
        ORDER BY i.next_sync_at LIMIT %(limit)s FOR NO KEY UPDATE OF i SKIP LOCKED)
    UPDATE integrations i SET sync_sent_at = now() FROM due WHERE i.id = due.id
    RETURNING i.id"""

_CLAIM_REQUESTS = """
    WITH due AS (
        SELECT id FROM integration_requests
        WHERE status IN ('queued', 'running') AND next_attempt_at <= now()
          AND (lease_until IS NULL OR lease_until <= now())
          AND (sent_at IS NULL OR sent_at < lease_until OR sent_at < now() - greatest(
              interval '1 minute', least((now() - next_attempt_at) / 2, interval '6 hours')))
        ORDER BY next_attempt_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE integration_requests r SET sent_at = now() FROM due WHERE r.id = due.id
    RETURNING r.id"""


def dispatch(time_left: Callable[[], bool], *, retry: bool = False) -> dict[str, int]:
    """Send everything that is due, batch by batch while there is time, and merge tallies; returns how much that was.

    `retry` begins again with what was given up. Raises at the end when a queue or the bucket did not answer, so that
    the alarm hears of it.
    """
    failed: set[str] = set()
    if retry:
        logger.info("Tried again: %s deliveries that were given up.", len(_rows(_BEGIN_AGAIN)))
    sent = {
        "deliveries": _each_batch(_CLAIM_DELIVERIES, time_left, lambda rows: _send_deliveries(rows, failed)),
        "files": _each_batch(_CLAIM_FILES, time_left, lambda rows: _send_files(rows, failed)),
        "uploads": _send_uploads(failed),
        "syncs": _each_batch(_CLAIM_SYNCS, time_left, lambda rows: _send_integrations(rows, sync_message, failed)),
        "requests": _each_batch(
            _CLAIM_REQUESTS, time_left, lambda rows: _send_integrations(rows, request_message, failed)
        ),
    }
    _report_stuck()
    merged = merge_tallies(time_left)
    # Last, for there is no end to what subscribers can have wait here.
    sent["webhooks"] = _each_batch(_CLAIM_WEBHOOKS, time_left, lambda rows: _send_webhooks(rows, failed))
    if any(sent.values()):
        logger.info(
            "Sent again: %(deliveries)s deliveries, %(files)s files, %(uploads)s uploads, %(webhooks)s to webhooks,"
            " %(syncs)s integrations, %(requests)s requests to services.",
            sent,
        )
    if failed:
        raise RuntimeError(f"These did not answer: {', '.join(sorted(failed))}. What waits for them is tried again.")
    return {**sent, "tallies": merged}


def _each_batch(claim: str, time_left: Callable[[], bool], work: Callable[[list[Row[Any]]], int]) -> int:
    done = 0
    while time_left():
        rows = _rows(claim, limit=BATCH)
        done += work(rows)
        if len(rows) < BATCH:
            break
    return done


def _send_deliveries(rows: list[Row[Any]], failed: set[str]) -> int:
    failed |= send((row.event_id, row.destination) for row in rows)
    return len(rows)


def _send_files(rows: list[Row[Any]], failed: set[str]) -> int:
    messages = []
    for row in rows:
        try:
            if message := _arrived(row.bucket, row.key):
                messages.append(message)
        except Exception:
            logger.exception("Could not look for an object.", bucket=row.bucket, key=row.key)
            failed.add(row.bucket)
    return _send_messages("uploads", messages, failed)


def _send_uploads(failed: set[str]) -> int:
    """Ask for imports that nobody works on."""
    return _send_messages(QUEUE, [message(row.id) for row in _rows(_DUE_UPLOADS, limit=BATCH)], failed)


def _send_webhooks(rows: list[Row[Any]], failed: set[str]) -> int:
    return _send_messages(webhooks.QUEUE, [webhooks.message(row.id) for row in rows], failed)


def _send_integrations(rows: list[Row[Any]], message_of: Callable[[UUID], dict[str, Any]], failed: set[str]) -> int:
    return _send_messages(integrations.QUEUE, [message_of(row.id) for row in rows], failed)


def _send_messages(queue: str, messages: list[dict[str, Any]], failed: set[str]) -> int:
    """Send what the rows say anyway; a queue that does not answer is noted down."""
    try:
        send_messages(queue, messages)
    except Exception:
        logger.exception("Could not send to the queue %s.", queue)
        failed.add(queue)
    return len(messages)


def _arrived(bucket: str, key: str) -> dict[str, Any] | None:
    """What S3 should have told the queue about this object; None when it is not there."""
    there = head(bucket, key)
    if there is None:
        return None
    found = {"key": quote_plus(key, safe="/"), "size": there["ContentLength"], "versionId": there.get("VersionId")}
    return {
        "Records": [
            {
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": bucket}, "object": found},
            }
        ]
    }


def _report_stuck() -> None:
    for row in _rows(_GIVE_UP):
        logger.error(
            'A delivery failed too often and is given up. Invoke this function with {"retry": true} to try again.',
            event_id=str(row.event_id),
            destination=row.destination,
            attempts=row.attempts,
            error=row.error,
        )
    count_metric("DeliveriesStuck", _rows(_COUNT_STUCK)[0].stuck, function="event_dispatcher")


def _rows(statement: str, **params: Any) -> list[Row[Any]]:
    """All rows of one statement in a transaction of its own."""
    with writing() as session:
        return list(session.connection().exec_driver_sql(statement, {**params, "max_attempts": MAX_ATTEMPTS}).all())
