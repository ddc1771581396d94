"""Recording: the event, and what is to be delivered of it, in the transaction of the change."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.events.outbox import send_after_commit
from quintet.events.types import DELIVERED_TO, EventType

SYSTEM = "system"
"""The scope of what concerns the whole installation."""

_RECORD = """
    INSERT INTO events (actor_id, type, subject_type, subject_id, data, scope, ip, request_id)
    VALUES (%(actor_id)s, %(type)s, %(subject_type)s, %(subject_id)s, %(data)s, %(scope)s, %(ip)s, %(request_id)s)
    RETURNING id"""

_RECORD_AND_DELIVER = f"""
    WITH event AS ({_RECORD}), delivery AS (
        INSERT INTO deliveries (event_id, destination)
        SELECT id, destination FROM event, unnest(%(destinations)s::text[]) AS destination
    )
    SELECT id FROM event"""


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
    from psycopg.types.json import Jsonb

    origin: Origin = session.info.get("origin", Origin())
    destinations = DELIVERED_TO.get(type, ())
    session.flush()  # in the order things happened, so that ids are known and constraints have spoken
    event_id: UUID = (
        session.connection()
        .exec_driver_sql(
            _RECORD_AND_DELIVER if destinations else _RECORD,
            {
                "actor_id": origin.actor_id or actor_id,
                "type": type.value,
                "subject_type": type.partition(".")[0],
                "subject_id": subject,
                "data": Jsonb(data or {}),
                "scope": scope,
                "ip": origin.ip,
                "request_id": origin.request_id,
                "destinations": list(destinations),
            },
        )
        .scalar_one()
    )
    for destination in destinations:
        send_after_commit(session, event_id, destination)
    return event_id
