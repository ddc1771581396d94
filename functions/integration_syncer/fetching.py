"""Fetching what a service holds: page by page, each stored with its checkpoint in one transaction.

Whoever claims it counts `sync_run` up, and every page is stored under that number alone: two never mix. A process that
dies leaves its checkpoint, and a lease that runs out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from sqlalchemy.orm import Session

from functions.integration_syncer import github, google_docs
from functions.integration_syncer.connection import Connection
from functions.integration_syncer.pages import Checkpoint, Page
from functions.integration_syncer.troubles import Lost, NeedsReauth, Outage, Refused, Throttled, Trouble
from quintet.config import settings
from quintet.db.reads import rows
from quintet.db.session import writing
from quintet.events.consumer import started_by
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.integrations.queue import send_after_commit, sync_message
from quintet.integrations.services import SERVICES
from quintet.observability import logger

EVERY_SECONDS = 3600
"""From the end of one to the next."""
MAX_PAGES = 10_000
"""From the beginning to the end: a million things. Who goes on after that goes round in circles."""
LONGEST_WAIT = 6 * 3600
"""Seconds between tries when nothing works."""

SOURCES: dict[str, Callable[[Connection, Checkpoint], Page]] = {
    "github": github.next_page,
    "google_docs": google_docs.next_page,
}

_CLAIM = """
    UPDATE integrations
    SET sync_run = sync_run + 1, sync_lease_until = now() + make_interval(secs => %(lease)s),
        sync_status = 'running', version = version + 1, updated_at = now()
    WHERE id = %(id)s AND status = 'connected' AND next_sync_at <= now()
      AND (sync_lease_until IS NULL OR sync_lease_until <= now())
    RETURNING id, user_id, service, sync_run AS run, coalesce(checkpoint, '{}') AS checkpoint"""

_ADVANCE = """
    UPDATE integrations
    SET checkpoint = %(checkpoint)s, sync_lease_until = now() + make_interval(secs => %(lease)s)
    WHERE id = %(id)s AND sync_run = %(run)s AND status = 'connected' RETURNING id"""

_STORE = """
    INSERT INTO integration_records (integration_id, kind, external_id, data, pass_number)
    SELECT %(id)s, kind, external_id, data, %(pass)s
    FROM jsonb_to_recordset(%(records)s) AS fetched (kind text, external_id text, data jsonb)
    ORDER BY kind, external_id
    ON CONFLICT (integration_id, kind, external_id) DO UPDATE
    SET data = excluded.data, pass_number = excluded.pass_number, fetched_at = now(), stale_since = NULL
    RETURNING id"""

_REMOVE = """
    DELETE FROM integration_records
    WHERE integration_id = %(id)s AND kind IN ('document', 'document_text') AND external_id = ANY (%(removed)s)
    RETURNING id"""

# What was only asked for, and never listed, has no pass.
_GONE = """
    UPDATE integration_records SET stale_since = now()
    WHERE integration_id = %(id)s AND kind = %(kind)s AND pass_number > 0 AND pass_number < %(pass)s
      AND stale_since IS NULL
    RETURNING id"""

_FINISHED = """
    UPDATE integrations
    SET sync_status = 'success', last_synced_at = now(), error = NULL, stale_since = NULL, sync_failures = 0,
        wait_until = NULL,
        next_sync_at = now() + make_interval(secs => %(every)s), sync_lease_until = NULL,
        version = version + 1, updated_at = now()
    WHERE id = %(id)s AND sync_run = %(run)s AND status = 'connected' RETURNING id"""

_PAUSED = """
    UPDATE integrations SET sync_lease_until = NULL, sync_sent_at = now()
    WHERE id = %(id)s AND sync_run = %(run)s AND status = 'connected' RETURNING id"""

_FAILED = """
    UPDATE integrations
    SET sync_status = 'error', error = %(error)s, stale_since = coalesce(stale_since, now()),
        sync_failures = sync_failures + 1, sync_lease_until = NULL,
        next_sync_at = now() + make_interval(secs => greatest(
            %(again_in)s, least(60 * power(2, least(sync_failures, 12)), %(longest)s))),
        -- What is refused once may be so for good: the address of a next page, for one.
        checkpoint = CASE WHEN %(anew)s
            THEN jsonb_build_object('pass', coalesce(checkpoint -> 'pass', '0')) ELSE checkpoint END,
        wait_until = CASE WHEN %(asked_to_wait)s THEN now() + make_interval(secs => %(again_in)s) END,
        version = version + 1, updated_at = now()
    WHERE id = %(id)s AND sync_run = %(run)s AND status = 'connected' RETURNING id"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """An integration that is fetched from by us while `run` is its newest run."""

    id: UUID
    user_id: UUID
    service: str
    run: int
    checkpoint: Checkpoint


def fetch(integration_id: UUID, message: SQSRecord, time_left: Callable[[], bool]) -> None:
    """Fetch what is new, if it is due and nobody else does; what is left when time is over goes back to the queue."""
    with writing() as session:
        started_by(session, message)
        found = rows(session, _CLAIM, {"id": integration_id, "lease": settings().integration_lease_seconds})
        if not found:
            return
        claimed = Claimed(**found[0]._asdict())
        _record(session, claimed, EventType.INTEGRATION_SYNC_STARTED)
    try:
        _fetch_all(claimed, message, time_left)
    except (Lost, NeedsReauth) as ended:
        logger.info("Fetching has ended.", integration_id=str(claimed.id), why=type(ended).__name__)
    except Trouble as trouble:
        asked_to_wait = isinstance(trouble, Throttled)
        _failed(claimed, message, str(trouble), again_in=trouble.again_in, asked_to_wait=asked_to_wait)
    except Refused as refused:
        _failed(claimed, message, str(refused), again_in=EVERY_SECONDS, anew=True)
    except Exception:
        _failed(claimed, message, "Something went wrong here. It is tried again.", again_in=60)
        raise


def _fetch_all(claimed: Claimed, message: SQSRecord, time_left: Callable[[], bool]) -> None:
    connection, checkpoint, fetched = Connection(claimed.id, claimed.service), claimed.checkpoint, 0
    while True:
        try:
            page = SOURCES[claimed.service](connection, checkpoint)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            logger.warning("A service's answer makes no sense.", service=claimed.service, why=type(error).__name__)
            title = SERVICES[claimed.service].title
            raise Outage(f"{title} answered something that makes no sense.", again_in=600) from None
        pages = checkpoint.get("pages", 0) + 1
        if pages > MAX_PAGES:
            raise Refused(f"{SERVICES[claimed.service].title} has page after page without end.", status=502)
        checkpoint = {**page.checkpoint, "pages": 0 if page.done else pages}
        fetched += len(page.records)
        with writing() as session:
            started_by(session, message)
            _store(session, claimed, page, checkpoint)
            if page.done:
                _advance(session, _FINISHED, claimed, every=EVERY_SECONDS)
                _record(session, claimed, EventType.INTEGRATION_SYNCED, fetched=fetched)
                return
            if not time_left():
                _advance(session, _PAUSED, claimed)
                send_after_commit(session, sync_message(claimed.id))
                return


def _store(session: Session, claimed: Claimed, page: Page, checkpoint: Checkpoint) -> None:
    from psycopg.types.json import Jsonb

    _advance(session, _ADVANCE, claimed, checkpoint=Jsonb(checkpoint), lease=settings().integration_lease_seconds)
    about: dict[str, Any] = {"id": claimed.id, "pass": page.pass_number}
    if page.records:
        # Once each: what changes while it is listed may be there twice.
        each = {
            (r.kind, r.external_id): {"kind": r.kind, "external_id": r.external_id, "data": r.data}
            for r in page.records
        }
        rows(session, _STORE, {**about, "records": Jsonb(list(each.values()))})
    if page.removed:
        rows(session, _REMOVE, {**about, "removed": page.removed})
    if page.listed:
        rows(session, _GONE, {**about, "kind": page.listed})


def _advance(session: Session, statement: str, claimed: Claimed, **params: Any) -> None:
    """Change the integration if it is still ours; raises Lost, which undoes what was stored."""
    if not rows(session, statement, {"id": claimed.id, "run": claimed.run, **params}):
        raise Lost


def _failed(
    claimed: Claimed,
    message: SQSRecord,
    error: str,
    *,
    again_in: float,
    asked_to_wait: bool = False,
    anew: bool = False,
) -> None:
    params = {
        "id": claimed.id,
        "run": claimed.run,
        "error": error,
        "again_in": again_in,
        "asked_to_wait": asked_to_wait,
        "anew": anew,
        "longest": LONGEST_WAIT,
    }
    with writing() as session:
        started_by(session, message)
        if rows(session, _FAILED, params):
            _record(session, claimed, EventType.INTEGRATION_SYNC_FAILED)


def _record(session: Session, claimed: Claimed, type: EventType, **data: Any) -> None:
    data = {"service": claimed.service, **data}
    record(
        session, type, subject=claimed.id, scope=scope_of("user", claimed.user_id), data=data, actor_id=claimed.user_id
    )
