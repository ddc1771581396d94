"""Working on what people ask of services. Reading is answered at once; a job is begun, looked after, and its result
stored, with as many messages as that takes.

Whoever claims a request counts `run` up, and writes under that number alone. Between two steps it stands in the
database: what is lost with a process is at most the step it was at, and the dispatcher has it done again. A job is
begun twice only when we die between the service's answer and our commit: where nobody can know whether it has begun,
since no answer or none that makes sense came, the person is told so, who pays for it.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from sqlalchemy.orm import Session

from functions.integration_syncer import storing
from functions.integration_syncer.claimed import Claimed
from functions.integration_syncer.connection import Connection
from functions.integration_syncer.generation import JOBS, State, sensible
from functions.integration_syncer.insisting import insist
from functions.integration_syncer.pages import Fetched, without_nul
from functions.integration_syncer.reading import READINGS
from functions.integration_syncer.troubles import Lost, NeedsReauth, Outage, Refused, Trouble
from quintet.config import settings
from quintet.db.reads import rows
from quintet.db.session import reading, writing
from quintet.events.consumer import started_by
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.integrations.queue import request_message, send_after_commit
from quintet.integrations.services import SERVICES
from quintet.observability import logger

_LONGEST_DELAY = 900  # of SQS

_CLAIM = """
    UPDATE integration_requests r
    SET run = r.run + 1, lease_until = now() + make_interval(secs => %(lease)s)
    FROM integrations i, integration_requests same LEFT JOIN files f ON f.id = same.file_id
    WHERE r.id = %(id)s AND same.id = r.id AND i.id = r.integration_id
      AND r.status IN ('queued', 'running') AND r.next_attempt_at <= now()
      AND (r.lease_until IS NULL OR r.lease_until <= now())
    RETURNING r.id, r.integration_id, i.user_id, i.service, i.status AS integration_status, r.operation, r.input, r.run,
              r.failures, r.external_id, r.created_at, r.file_id, r.stored_at, f.status AS file_status,
              f.reason AS file_reason"""

_EXTEND = """
    UPDATE integration_requests SET lease_until = now() + make_interval(secs => %(lease)s)
    WHERE id = %(id)s AND run = %(run)s AND status IN ('queued', 'running') RETURNING id"""

# What is to be set is among the parameters, else it stays as it is.
_STEP = """
    UPDATE integration_requests
    SET status = 'running', external_id = coalesce(%(external_id)s, external_id),
        progress = coalesce(%(progress)s, progress), error = %(error)s, failures = %(failures)s,
        stored_at = CASE WHEN %(stored)s THEN now() ELSE stored_at END,
        next_attempt_at = now() + make_interval(secs => %(again_in)s), sent_at = now(), lease_until = NULL,
        version = version + 1, updated_at = now()
    WHERE id = %(id)s AND run = %(run)s AND status IN ('queued', 'running') RETURNING id"""

_END = """
    UPDATE integration_requests
    SET status = %(status)s, result = %(result)s, stale_since = %(stale_since)s, error = %(error)s,
        progress = CASE WHEN %(status)s = 'succeeded' THEN 100 ELSE progress END,
        finished_at = now(), next_attempt_at = NULL, lease_until = NULL, version = version + 1, updated_at = now()
    WHERE id = %(id)s AND run = %(run)s AND status IN ('queued', 'running') RETURNING id"""

_KEEP = """
    INSERT INTO integration_records (integration_id, kind, external_id, data) VALUES (
        %(integration_id)s, %(kind)s, %(external_id)s, %(data)s)
    ON CONFLICT (integration_id, kind, external_id) DO UPDATE
    SET data = excluded.data, fetched_at = now(), stale_since = NULL
    RETURNING id"""

_LAST_GOOD = """
    SELECT data, fetched_at FROM integration_records
    WHERE integration_id = %(integration_id)s AND kind = %(kind)s AND data @> %(known_by)s
    ORDER BY fetched_at DESC LIMIT 1"""


def work_on(request_id: UUID, message: SQSRecord) -> None:
    """Do the next step of a request, if it is due and nobody else is at it."""
    with writing() as session:
        found = rows(session, _CLAIM, {"id": request_id, "lease": settings().integration_lease_seconds})
    if not found:
        return
    claimed = Claimed(**found[0]._asdict())
    try:
        _work_on(claimed, message)
    except Lost:
        logger.info("Somebody else has the request, or it is gone.", request_id=str(claimed.id))
    except NeedsReauth as refused:
        if claimed.external_id is None:
            _end(claimed, message, error=str(refused))
        else:  # it is being made, and paid for: its owner may come back with another key
            _in_trouble(claimed, message, Trouble(str(refused), again_in=300))
    except Refused as refused:
        _end(claimed, message, error=str(refused))
    except Trouble as trouble:
        _in_trouble(claimed, message, trouble)
    except Exception:
        _in_trouble(claimed, message, Trouble("Something went wrong here.", again_in=60))
        raise


def _work_on(claimed: Claimed, message: SQSRecord) -> None:
    title = SERVICES[claimed.service].title
    if claimed.integration_status != "connected":
        raise NeedsReauth(f"{title} has to be connected again.")
    if claimed.too_late(times=2):  # by now whoever tries dies of it, or the file is never checked
        raise Refused("It has been tried for too long.", status=504)
    connection = Connection(claimed.integration_id, claimed.service)
    if not claimed.is_job:
        answered = sensible(title, lambda: READINGS[claimed.operation].ask(connection, claimed.input))
        _end(claimed, message, answered=answered)
    elif claimed.stored_at is not None or claimed.file_status in ("ready", "rejected"):
        _look_at_file(claimed, message)
    elif claimed.external_id is None:
        _begin(claimed, message, connection)
    else:
        _look_at_job(claimed, message, connection)


def _begin(claimed: Claimed, message: SQSRecord, connection: Connection) -> None:
    job = JOBS[claimed.operation]
    try:
        told = connection.post(job.create, job.body(claimed.input)).json()
        external_id = sensible(connection.service.title, lambda: job.id_of(told))
    except Outage as outage:
        if not outage.begun:
            raise
        raise Refused(
            f"{outage} It may have begun all the same: look there before you ask again.", status=502
        ) from None
    insist(lambda: _step(claimed, message, again_in=claimed.next_look, external_id=external_id, progress=0))


def _look_at_job(claimed: Claimed, message: SQSRecord, connection: Connection) -> None:
    job = JOBS[claimed.operation]
    told = connection.get(job.read.format(id=claimed.external_id)).json()
    state: State = sensible(connection.service.title, lambda: job.state(told, claimed.input))
    if state.error is not None:
        _end(claimed, message, error=state.error)
    elif state.url is None:
        if claimed.too_late():
            raise Refused(f"{connection.service.title} has not finished it within a day.", status=504)
        _step(claimed, message, again_in=claimed.next_look, progress=state.progress)
    else:
        name, media_type = job.file(claimed.input)
        _take_long(claimed)
        storing.store(claimed, state.url, name=name, media_type=media_type)
        _step(claimed, message, again_in=settings().integration_look_seconds, progress=100, stored=True)


def _take_long(claimed: Claimed) -> None:
    """Keep others away for as long as a result may take to be stored."""
    params = {"id": claimed.id, "run": claimed.run, "lease": storing.LONGEST_SECONDS}
    with reading() as session:
        if not rows(session, _EXTEND, params):
            raise Lost


def _look_at_file(claimed: Claimed, message: SQSRecord) -> None:
    """What is stored is checked as every upload is, and not by us."""
    if claimed.file_id is None:
        _end(claimed, message, error="The file was deleted.")
    elif claimed.file_status == "ready":
        _end(claimed, message)
    elif claimed.file_status == "rejected":
        _end(claimed, message, error=claimed.file_reason or "The file was rejected.")
    else:
        _step(claimed, message, again_in=claimed.next_look)


def _in_trouble(claimed: Claimed, message: SQSRecord, trouble: Trouble) -> None:
    """The last good answer, if there is one; else it is tried again, for as long as makes sense."""
    again_in = max(trouble.again_in, min(30 * 2**claimed.failures, 3600))
    reading_ = READINGS.get(claimed.operation)
    if reading_ is not None and (known := _last_good(claimed, reading_.kind, reading_.known_by(claimed.input))):
        _end(claimed, message, result=known.data, stale_since=known.fetched_at)
    elif claimed.too_late(again_in=again_in):
        _end(claimed, message, error=str(trouble))
    else:
        _step(claimed, message, again_in=again_in, error=str(trouble), failures=min(claimed.failures + 1, 12))


def _last_good(claimed: Claimed, kind: str, known_by: dict[str, Any]) -> Any:
    from psycopg.types.json import Jsonb

    params = {"integration_id": claimed.integration_id, "kind": kind, "known_by": Jsonb(known_by)}
    with reading() as session:
        found = rows(session, _LAST_GOOD, params)
    return found[0] if found else None


def _step(
    claimed: Claimed,
    message: SQSRecord,
    *,
    again_in: float,
    external_id: str | None = None,
    progress: int | None = None,
    stored: bool = False,
    error: str | None = None,
    failures: int = 0,
) -> None:
    """It goes on in `again_in` seconds."""
    params = {
        "id": claimed.id,
        "run": claimed.run,
        "again_in": again_in,
        "external_id": external_id,
        "progress": progress,
        "stored": stored,
        "error": error,
        "failures": failures,
    }
    with writing() as session:
        started_by(session, message)
        if not rows(session, _STEP, params):
            raise Lost
        if again_in <= _LONGEST_DELAY:  # of what is later the dispatcher thinks
            send_after_commit(session, request_message(claimed.id), delay=round(again_in) + 1)


def _end(
    claimed: Claimed,
    message: SQSRecord,
    *,
    answered: Fetched | None = None,
    result: dict[str, Any] | None = None,
    stale_since: datetime | None = None,
    error: str | None = None,
) -> None:
    from psycopg.types.json import Jsonb

    if answered is not None:
        result = answered.data
    params = {
        "id": claimed.id,
        "run": claimed.run,
        "status": "succeeded" if error is None else "failed",
        "result": None if result is None else Jsonb(result),
        "stale_since": stale_since,
        "error": without_nul(error),
    }
    with writing() as session:
        started_by(session, message)
        if not rows(session, _END, params):
            raise Lost
        if answered is not None:
            rows(session, _KEEP, {"integration_id": claimed.integration_id, **_columns(answered)})
        _record(session, claimed, failed=error is not None)


def _columns(answered: Fetched) -> dict[str, Any]:
    from psycopg.types.json import Jsonb

    return {"kind": answered.kind, "external_id": answered.external_id, "data": Jsonb(answered.data)}


def _record(session: Session, claimed: Claimed, *, failed: bool) -> None:
    type = EventType.INTEGRATION_REQUEST_FAILED if failed else EventType.INTEGRATION_REQUEST_SUCCEEDED
    data: dict[str, Any] = {"integration_id": str(claimed.integration_id), "operation": claimed.operation}
    if claimed.file_id and not failed:
        data["file_id"] = str(claimed.file_id)
    record(
        session, type, subject=claimed.id, scope=scope_of("user", claimed.user_id), data=data, actor_id=claimed.user_id
    )
