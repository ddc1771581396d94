"""Recording: the event, and what is to be delivered of it, in the transaction of the change."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.db.reads import Params, rows
from quintet.events.outbox import send_after_commit
from quintet.events.types import DELIVERED_TO, NOT_FOR_WEBHOOKS, WEBHOOK_TYPES, EventType

SYSTEM = "system"
"""The scope of what concerns the whole installation."""

_AT_ONCE = 1_000
"""Events of one statement, which has them all in memory."""

# The function makes a delivery to `webhooks` if some webhook wants the event, and says whether it did.
_RECORD = f"""
    INSERT INTO events (actor_id, ip, request_id, type, subject_type, subject_id, data, scope)
    SELECT %(actor_id)s, %(ip)s, %(request_id)s, h.type, split_part(h.type, '.', 1), {{subject}}, h.data, h.scope
    FROM {{source}} jsonb_to_recordset(%(happened)s) h (type text, subject uuid, data jsonb, scope text)
    RETURNING id, type,
        CASE WHEN subject_type NOT IN {NOT_FOR_WEBHOOKS} THEN sent_to_webhooks(id, type) END AS wanted"""

_AND_DELIVER = """
    WITH event AS ({record}), delivery AS (
        INSERT INTO deliveries (event_id, destination)
        SELECT id, destination FROM event, jsonb_array_elements_text(%(routes)s -> type) AS destination
    )
    SELECT id, type, wanted FROM event"""

_DELIVER_MORE = """
    INSERT INTO deliveries (event_id, destination) SELECT * FROM unnest(%(ids)s::uuid[], %(destinations)s::text[])"""


@dataclass(frozen=True, slots=True)
class Happening:
    """An event to be recorded; its parts are those of `record`."""

    type: EventType
    subject: UUID | None
    scope: str
    data: dict[str, Any] = field(default_factory=dict)
    to: tuple[str, ...] = ()
    """Destinations besides those that `DELIVERED_TO` names for every event of the type."""


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
    yet. What `DELIVERED_TO` names, and what webhooks want, is sent to queues after the commit, and again until done.
    """
    [event_id] = _record(session, [Happening(type, subject, scope, data or {})], actor_id)
    return event_id


def record_all(session: Session, happened: Sequence[Happening]) -> None:
    """`record` for many events at once, in their order: a statement for each thousand, none when nothing happened."""
    for start in range(0, len(happened), _AT_ONCE):
        _record(session, happened[start : start + _AT_ONCE])


def _record(session: Session, happened: Sequence[Happening], actor_id: UUID | None = None) -> list[UUID]:
    from psycopg.types.json import Jsonb

    session.flush()  # in the order things happened, so that ids are known and constraints have spoken
    statement = _RECORD.format(subject="h.subject", source="")
    params = _params(session, happened, actor_id)
    if routes := {event.type.value: DELIVERED_TO[event.type] for event in happened if event.type in DELIVERED_TO}:
        statement, params = _AND_DELIVER.format(record=statement), {**params, "routes": Jsonb(routes)}
    recorded = rows(session, statement, params)
    more = [(row.id, destination) for row, event in zip(recorded, happened, strict=True) for destination in event.to]
    if more:
        ids, destinations = zip(*more, strict=True)
        session.connection().exec_driver_sql(_DELIVER_MORE, {"ids": [*ids], "destinations": [*destinations]})
    for row in recorded:
        for destination in (*DELIVERED_TO.get(row.type, ()), *(("webhooks",) if row.wanted else ())):
            send_after_commit(session, row.id, destination)
    for event_id, destination in more:
        send_after_commit(session, event_id, destination)
    return [row.id for row in recorded]


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
    assert type not in WEBHOOK_TYPES | DELIVERED_TO.keys(), f"{type} is delivered, which takes a transaction"
    recorded = _RECORD.format(subject="changed.id", source="changed,")
    both = f"WITH changed AS ({change}), event AS ({recorded}) SELECT id FROM changed"
    happened = [Happening(type, None, scope, data or {})]
    changed = rows(session, both, {**_params(session, happened, actor_id), **params})
    return changed[0].id if changed else None


def _params(session: Session, happened: Sequence[Happening], actor_id: UUID | None) -> dict[str, Any]:
    from psycopg.types.json import Jsonb

    origin: Origin = session.info.get("origin", Origin())
    return {
        "actor_id": origin.actor_id or actor_id,
        "ip": origin.ip,
        "request_id": origin.request_id,
        "happened": Jsonb(
            [
                {
                    "type": event.type.value,
                    "subject": event.subject and str(event.subject),
                    "data": event.data,
                    "scope": event.scope,
                }
                for event in happened
            ]
        ),
    }
