"""Recording: the event, and what is to be delivered of it, in the transaction of the change."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.db.reads import Params, rows
from quintet.events.outbox import send_after_commit
from quintet.events.types import DELIVERED_TO, EventType

SYSTEM = "system"
"""The scope of what concerns the whole installation."""

_RECORD = """
    INSERT INTO events (actor_id, type, subject_type, subject_id, data, scope, ip, request_id)
    SELECT %(actor_id)s, %(type)s, %(subject_type)s, {subject}, %(data)s, %(scope)s, %(ip)s, %(request_id)s {source}
    RETURNING id"""

_RECORD_SUBJECT = _RECORD.format(subject="%(subject_id)s", source="")

_RECORD_AND_DELIVER = f"""
    WITH event AS ({_RECORD_SUBJECT}), delivery AS (
        INSERT INTO deliveries (event_id, destination)
        SELECT id, destination FROM event, unnest(%(destinations)s::text[]) AS destination
    )
    SELECT id FROM event"""

_RECORD_ALL = """
    WITH event AS (
        INSERT INTO events (actor_id, type, subject_type, subject_id, data, scope, ip, request_id)
        SELECT %(actor_id)s, type, split_part(type, '.', 1), subject_id, data, scope, %(ip)s, %(request_id)s
        FROM unnest(%(types)s::text[], %(subjects)s::uuid[], %(data)s::jsonb[], %(scopes)s::text[])
            WITH ORDINALITY AS happened (type, subject_id, data, scope, n)
        ORDER BY n
        RETURNING id, type
    ), delivery AS (
        INSERT INTO deliveries (event_id, destination)
        SELECT id, destination FROM event JOIN unnest(%(delivered)s::text[], %(destinations)s::text[])
            AS delivered (type, destination) USING (type)
        RETURNING event_id, destination
    )
    SELECT event_id, destination FROM delivery ORDER BY event_id"""


@dataclass(frozen=True, slots=True)
class Happening:
    """One of the events that `record_all` records; its parts are those of `record`."""

    type: EventType
    subject: UUID
    scope: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """Whom an event is put down to: set once per request or record by `originate`."""

    actor_id: UUID | None = None
    ip: str | None = None
    request_id: str | None = None


def originate(session: Session, origin: Origin) -> None:
    """Put what this session records down to `origin`."""
    session.info["origin"] = origin


def scope_of(kind: str, id: UUID) -> str:
    """The scope of a project, user, ...: whoever may read that may read the event."""
    return f"{kind}:{id}"


def record(
    session: Session,
    type: EventType,
    *,
    subject: UUID | None,
    scope: str,
    data: dict[str, Any] | None = None,
    actor_id: UUID | None = None,
) -> UUID:
    """Record that `type` happened to `subject` (whose kind is the type's first word); returns the event's id.

    `data` is JSON: ids and facts, no personal data, no secrets. `actor_id` stands in when nobody is signed in
    yet. What `DELIVERED_TO` names is sent to its queues after the commit, and again until it is done.
    """
    destinations = DELIVERED_TO.get(type, ())
    session.flush()  # in the order things happened, so that ids are known and constraints have spoken
    params = _params(session, type, scope=scope, data=data, actor_id=actor_id)
    [[event_id]] = rows(
        session,
        _RECORD_AND_DELIVER if destinations else _RECORD_SUBJECT,
        {**params, "subject_id": subject, "destinations": list(destinations)},
    )
    for destination in destinations:
        send_after_commit(session, event_id, destination)
    return event_id  # type: ignore[no-any-return]


def record_all(session: Session, happened: Sequence[Happening]) -> None:
    """`record` for many events at once, in their order: one statement, and none when nothing happened."""
    if not happened:
        return
    from psycopg.types.json import Jsonb

    session.flush()
    origin: Origin = session.info.get("origin", Origin())
    routed = [(type, to) for type in {event.type for event in happened} for to in DELIVERED_TO.get(type, ())]
    params = {
        "actor_id": origin.actor_id,
        "ip": origin.ip,
        "request_id": origin.request_id,
        "types": [event.type.value for event in happened],
        "subjects": [event.subject for event in happened],
        "data": [Jsonb(event.data) for event in happened],
        "scopes": [event.scope for event in happened],
        "delivered": [type.value for type, _ in routed],
        "destinations": [to for _, to in routed],
    }
    for event_id, destination in rows(session, _RECORD_ALL, params):
        send_after_commit(session, event_id, destination)


def change_and_record(
    session: Session,
    change: str,
    params: Params,
    type: EventType,
    *,
    scope: str,
    data: dict[str, Any] | None = None,
    actor_id: UUID | None = None,
) -> UUID | None:
    """`record` and the change itself in one statement, for what needs no transaction around it.

    `change` is SQL that returns the subject's `id`, or no row: then nothing is recorded, and None comes back. Its
    `params` and an event's have different names. For events that are only recorded.
    """
    assert type not in DELIVERED_TO, f"{type} is delivered, which takes a transaction"
    recorded = _RECORD.format(subject="changed.id", source="FROM changed")
    both = f"WITH changed AS ({change}), event AS ({recorded}) SELECT id FROM changed"
    changed = rows(session, both, {**_params(session, type, scope=scope, data=data, actor_id=actor_id), **params})
    return changed[0].id if changed else None


def _params(
    session: Session, type: EventType, *, scope: str, data: dict[str, Any] | None, actor_id: UUID | None
) -> dict[str, Any]:
    from psycopg.types.json import Jsonb

    origin: Origin = session.info.get("origin", Origin())
    return {
        "actor_id": origin.actor_id or actor_id,
        "type": type.value,
        "subject_type": type.partition(".")[0],
        "data": Jsonb(data or {}),
        "scope": scope,
        "ip": origin.ip,
        "request_id": origin.request_id,
    }
