"""The SQL of what is sent: to whom, what, and what came of it."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.db.json import timestamp
from quintet.db.reads import rows
from quintet.events.consumer import Claimed
from quintet.feed.reading import columns
from quintet.identity.permissions import EVERYTHING, Permission
from quintet.identity.scopes import READERS, is_public, parts

_MAY_READ = f"""
    SELECT w.id FROM webhooks w JOIN users u ON u.id = w.owner_id
    WHERE {{wanted}} AND w.status = 'active' AND u.status = 'active' AND (
        w.owner_id IN ({READERS})
        OR %(public)s AND EXISTS (
            SELECT FROM user_roles ur JOIN roles r ON r.id = ur.role_id
            WHERE ur.user_id = w.owner_id AND r.permissions && '{{{{{EVERYTHING},{Permission.EVENTS_READ_ALL}}}}}'))"""
"""Active webhooks whose owners may, at this moment, read an event."""

_WANTING = _MAY_READ.format(wanted="(w.types = '{}' OR w.types @> ARRAY[%(type)s::text])")
_PERMITTED = _MAY_READ.format(wanted="w.id = %(webhook_id)s")

# The planner may be run again, which changes nothing.
_PLAN = f"""
    INSERT INTO webhook_deliveries (webhook_id, event_id, type)
    SELECT id, %(event_id)s, %(type)s FROM ({_WANTING}) wanting
    ON CONFLICT (webhook_id, event_id) DO NOTHING
    RETURNING id"""

SLOW_MS = 5_000
AT_ONCE = 2

# While an attempt is made it has no latency yet. A receiver that lets us wait gets few at a time, so that it does not
# keep every consumer from the others; what finds too many there is left to the dispatcher.
_CLAIM = f"""
    UPDATE webhook_deliveries d
    SET attempts = attempts + 1, lease_until = now() + make_interval(secs => %(lease)s),
        next_attempt_at = now() + make_interval(secs => %(lease)s), latency_ms = NULL
    WHERE id = %(id)s AND status = 'pending' AND (lease_until IS NULL OR lease_until <= now())
      AND NOT (
          EXISTS (SELECT FROM webhook_deliveries slow
                  WHERE slow.webhook_id = d.webhook_id AND slow.status = 'pending' AND slow.latency_ms >= {SLOW_MS})
          AND {AT_ONCE} <= (
              SELECT count(*) FROM webhook_deliveries running
              WHERE running.webhook_id = d.webhook_id AND running.status = 'pending'
                AND running.attempts > 0 AND running.latency_ms IS NULL AND running.lease_until > now()))
    RETURNING id, webhook_id, event_id, attempts"""

# As Standard Webhooks has it; `data` is the event as its readers know it, without whose address it came from.
_LOAD = f"""
    SELECT w.url, w.owner_id, e.type, e.scope, jsonb_build_object(
               'type', e.type, 'timestamp', {timestamp("e.at")},
               'data', (SELECT to_jsonb(event) - 'ip' - 'request_id' FROM (SELECT {columns()}) event))::text AS body,
           w.secret, CASE WHEN w.former_secret_until > now() THEN w.former_secret END AS former_secret
    FROM webhooks w LEFT JOIN events e ON e.id = %(event_id)s WHERE w.id = %(webhook_id)s"""

# `attempts` is the fence: whoever claimed it since has the say.
_DONE = """
    UPDATE webhook_deliveries
    SET status = %(status)s, status_code = %(status_code)s, error = %(error)s, latency_ms = %(latency_ms)s,
        next_attempt_at = now() + make_interval(secs => %(again_in)s),
        lease_until = now() + make_interval(secs => %(again_in)s),
        done_at = CASE WHEN %(status)s <> 'pending' THEN now() END
    WHERE id = %(id)s AND attempts = %(attempts)s AND status = 'pending'"""

_ANYTHING_TODAY = """
    SELECT FROM webhook_deliveries
    WHERE webhook_id = %(webhook_id)s AND status = 'delivered' AND done_at > now() - interval '1 day'
    ORDER BY id DESC LIMIT 1"""

_PAUSE = """
    UPDATE webhooks SET status = 'paused', paused_reason = %(reason)s, version = version + 1, updated_at = now()
    WHERE id = %(webhook_id)s AND status = 'active' RETURNING id"""


def plan(session: Session, event: Claimed) -> list[UUID]:
    """Note down to which webhooks the event goes; the new deliveries."""
    params = {"event_id": event.id, "type": event.type, **_readers_of(event.type, event.scope)}
    return [row.id for row in rows(session, _PLAN, params)]


def claim(session: Session, delivery_id: UUID, *, lease: int) -> Any:
    """The delivery (id, webhook_id, event_id, attempts), which is ours for `lease` seconds.

    None when there is nothing to do, or not now.
    """
    found = rows(session, _CLAIM, {"id": delivery_id, "lease": lease})
    return found[0] if found else None


def load(session: Session, claimed: Any) -> Any:
    """What is to be sent, and where; `scope` is None when the event is no longer kept."""
    [found] = rows(session, _LOAD, {"event_id": claimed.event_id, "webhook_id": claimed.webhook_id})
    return found


def permitted(session: Session, webhook_id: UUID, *, type: str, scope: str) -> bool:
    """Whether the webhook is active, and its owner may read an event of this type and scope now."""
    return bool(rows(session, _PERMITTED, {"webhook_id": webhook_id, **_readers_of(type, scope)}))


def _readers_of(type: str, scope: str) -> dict[str, Any]:
    return {"public": is_public(type, scope), **parts(scope)}


def finish(session: Session, claimed: Any, **outcome: Any) -> None:
    """Write down what came of an attempt: status, status_code, error, latency_ms, and again_in (seconds) or None."""
    session.connection().exec_driver_sql(_DONE, {"id": claimed.id, "attempts": claimed.attempts, **outcome})


def is_alive(session: Session, webhook_id: UUID) -> bool:
    """Whether anything has arrived there in the last day."""
    return bool(rows(session, _ANYTHING_TODAY, {"webhook_id": webhook_id}))


def pause(session: Session, webhook_id: UUID, *, reason: str) -> bool:
    """Pause the webhook; False when it is paused already, or gone."""
    return bool(rows(session, _PAUSE, {"webhook_id": webhook_id, "reason": reason}))
