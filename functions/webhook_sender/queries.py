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
    WHERE {{wanted}} AND u.status = 'active' AND (
        w.owner_id IN ({READERS})
        OR %(public)s AND EXISTS (
            SELECT FROM user_roles ur JOIN roles r ON r.id = ur.role_id
            WHERE ur.user_id = w.owner_id AND r.permissions && '{{{{{EVERYTHING},{Permission.EVENTS_READ_ALL}}}}}'))"""
"""Webhooks whose owners may, at this moment, read an event."""

_WANTING = _MAY_READ.format(wanted="w.status = 'active' AND (w.types = '{}' OR w.types @> ARRAY[%(type)s::text])")
_PERMITTED = _MAY_READ.format(wanted="w.id = %(webhook_id)s")

# The planner may be run again, which changes nothing.
_PLAN = f"""
    INSERT INTO webhook_deliveries (webhook_id, event_id, type)
    SELECT id, %(event_id)s, %(type)s FROM ({_WANTING}) wanting
    ON CONFLICT (webhook_id, event_id) DO NOTHING
    RETURNING id"""

SLOW_MS = 5_000
AT_ONCE = 10
"""Attempts for one owner, half of the consumers there are; what finds so many is left to the dispatcher."""
SLOWLY = 2
"""Of these to webhooks that let us wait, all of an owner's together."""

# Whoever claims for an owner takes turns, or all of them would be the last that may.
_OWNER = """
    SELECT u.id FROM webhook_deliveries d
    JOIN webhooks w ON w.id = d.webhook_id JOIN users u ON u.id = w.owner_id
    WHERE d.id = %(id)s AND d.status = 'pending' FOR NO KEY UPDATE OF u"""

_DUE = "d.id = %(id)s AND d.status = 'pending' AND (d.lease_until IS NULL OR d.lease_until <= now())"

# While an attempt is made it has no latency yet.
CLAIM = f"""
    UPDATE webhook_deliveries d
    SET attempts = d.attempts + 1, first_tried_at = coalesce(d.first_tried_at, now()), latency_ms = NULL,
        lease_until = now() + make_interval(secs => %(lease)s),
        next_attempt_at = now() + make_interval(secs => %(lease)s)
    FROM webhooks w
    WHERE {_DUE} AND w.id = d.webhook_id AND w.paused_reason IS DISTINCT FROM 'owner' AND (
        SELECT count(*) < {AT_ONCE} AND NOT (w.slow AND count(*) FILTER (WHERE theirs.slow) >= {SLOWLY})
        FROM webhooks theirs JOIN webhook_deliveries running ON running.webhook_id = theirs.id
        WHERE theirs.owner_id = %(owner_id)s AND running.status = 'pending'
          AND running.attempts > 0 AND running.latency_ms IS NULL AND running.lease_until > now())
    RETURNING d.id, d.webhook_id, d.event_id, d.attempts, w.status = 'active' AS active,
        extract(epoch FROM now() - d.first_tried_at)::float AS tried_for"""

# When its owner resumes the webhook, the day that it is tried for begins again.
_REST = f"""
    UPDATE webhook_deliveries d SET first_tried_at = NULL FROM webhooks w
    WHERE {_DUE} AND w.id = d.webhook_id AND w.paused_reason = 'owner'"""

# As Standard Webhooks has it; `data` is the event as its readers know it, without whose address it came from.
_LOAD = f"""
    SELECT w.url, w.owner_id, w.slow, e.type, e.scope, jsonb_build_object(
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
    WHERE id = %(webhook_id)s AND url = %(url)s AND status = 'active' RETURNING id"""

_SLOW = "UPDATE webhooks SET slow = %(slow)s WHERE id = %(webhook_id)s AND url = %(url)s"


def plan(session: Session, event: Claimed) -> list[UUID]:
    """Note down to which webhooks the event goes; the new deliveries."""
    params = {"event_id": event.id, "type": event.type, **_readers_of(event.type, event.scope)}
    return [row.id for row in rows(session, _PLAN, params)]


def claim(session: Session, delivery_id: UUID, *, lease: int) -> Any:
    """The delivery, which is ours for `lease` seconds: id, webhook_id, event_id, attempts, active, tried_for (seconds).

    None when there is nothing to do, or not now. While the owner has paused the webhook it waits.
    """
    owners = rows(session, _OWNER, {"id": delivery_id})
    if not owners:
        return None
    found = rows(session, CLAIM, {"id": delivery_id, "owner_id": owners[0].id, "lease": lease})
    if not found:
        session.connection().exec_driver_sql(_REST, {"id": delivery_id})
        return None
    return found[0]


def load(session: Session, claimed: Any) -> Any:
    """What is to be sent, and where; `scope` is None when the event is no longer kept."""
    [found] = rows(session, _LOAD, {"event_id": claimed.event_id, "webhook_id": claimed.webhook_id})
    return found


def permitted(session: Session, webhook_id: UUID, *, type: str, scope: str) -> bool:
    """Whether the webhook's owner may read an event of this type and scope now."""
    return bool(rows(session, _PERMITTED, {"webhook_id": webhook_id, **_readers_of(type, scope)}))


def _readers_of(type: str, scope: str) -> dict[str, Any]:
    return {"public": is_public(type, scope), **parts(scope)}


def finish(session: Session, claimed: Any, **outcome: Any) -> None:
    """Write down what came of an attempt: status, status_code, error, latency_ms, and again_in (seconds) or None."""
    session.connection().exec_driver_sql(_DONE, {"id": claimed.id, "attempts": claimed.attempts, **outcome})


def is_alive(session: Session, webhook_id: UUID) -> bool:
    """Whether anything has arrived there in the last day."""
    return bool(rows(session, _ANYTHING_TODAY, {"webhook_id": webhook_id}))


def pause(session: Session, webhook_id: UUID, *, url: str, reason: str) -> bool:
    """Pause the webhook that was tried at `url`; False when it is paused already, is elsewhere now, or gone."""
    return bool(rows(session, _PAUSE, {"webhook_id": webhook_id, "url": url, "reason": reason}))


def note_slow(session: Session, webhook_id: UUID, *, url: str, slow: bool) -> None:
    """Write down whether the webhook that was tried at `url` lets us wait."""
    session.connection().exec_driver_sql(_SLOW, {"webhook_id": webhook_id, "url": url, "slow": slow})
