"""The SQL of notifications and preferences."""

import json
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from functions.notifications.schemas import MANY, NotificationRead, UnreadCount
from quintet.db.json import columns_of, page
from quintet.db.reads import rows
from quintet.identity.principal import Principal
from quintet.notifications.kinds import KINDS
from quintet.pagination import PageRequest

_MINE = "n.user_id BETWEEN %(caller)s AND %(caller)s AND n.in_app"
"""The same as equality, but not to the planner: with that and the id it may walk everybody's notifications."""

_PAGE = f"""
    SELECT {columns_of(NotificationRead, "n")} FROM notifications n
    WHERE {_MINE} AND {{more}} AND (n.user_id, n.id) < (%(caller)s, %(before)s)
    ORDER BY n.user_id DESC, n.id DESC LIMIT %(limit)s + 1"""
ALL, UNREAD = _PAGE.format(more="true"), _PAGE.format(more="n.read_at IS NULL")

COUNT = f"""
    SELECT count(*) AS unread FROM (
        SELECT FROM notifications n WHERE {_MINE} AND n.read_at IS NULL ORDER BY n.user_id, n.id LIMIT {MANY}) unread"""

_PREFERENCES = """
    SELECT kind, jsonb_build_object('in_app', in_app, 'push', push, 'email', email) AS channels
    FROM notification_preferences WHERE user_id = %(user_id)s"""

READ_AT_ONCE = 10_000
"""In one transaction: a third of a second."""

# In the order of their ids, so that two who read at once do not wait for each other in a circle.
_READ_ALL = f"""
    WITH mine AS (
        SELECT n.id FROM notifications n
        WHERE {_MINE} AND n.read_at IS NULL
          AND n.id <= coalesce(%(up_to)s, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid)
        ORDER BY n.user_id, n.id LIMIT %(limit)s FOR NO KEY UPDATE
    ), marked AS (
        UPDATE notifications n SET read_at = now() FROM mine WHERE n.id = mine.id RETURNING n.id)
    SELECT id, count(*) OVER () AS marked FROM marked ORDER BY id DESC LIMIT 1"""


def list_notifications(session: Session, caller: Principal, paging: PageRequest, *, unread: bool) -> bytes:
    """A page of the caller's notifications, newest first."""
    return page(session, UNREAD if unread else ALL, {"caller": caller.user_id}, paging)


def count_unread(session: Session, caller: Principal) -> UnreadCount:
    """How many they have not read, up to `MANY`."""
    [row] = rows(session, COUNT, {"caller": caller.user_id})
    return UnreadCount(unread=row.unread)


def preferences(session: Session, user_id: UUID) -> dict[str, dict[str, Any]]:
    """Kind -> where the account wants to be told of it: `in_app`, `push` and `email`."""
    chosen = {row.kind: row.channels for row in rows(session, _PREFERENCES, {"user_id": user_id})}
    defaults = {name: {"in_app": kind.in_app, "push": kind.push, "email": kind.email} for name, kind in KINDS.items()}
    return {name: chosen.get(name, channels) for name, channels in defaults.items()}


def mark_all_read(session: Session, caller: Principal, *, up_to: UUID | None) -> tuple[UUID | None, bool]:
    """Mark what is unread as read, the oldest first: the newest of that if there was any, and whether that is all."""
    found = rows(session, _READ_ALL, {"caller": caller.user_id, "up_to": up_to, "limit": READ_AT_ONCE})
    return (found[0].id, found[0].marked < READ_AT_ONCE) if found else (None, True)


def save_preferences(session: Session, user_id: UUID, changed: dict[str, dict[str, Any]]) -> None:
    """Write these kinds' preferences, as `preferences` has them."""
    rows(
        session,
        """
        INSERT INTO notification_preferences (user_id, kind, in_app, email, push)
        SELECT %(user_id)s, key, (value ->> 'in_app')::bool, value ->> 'email', (value ->> 'push')::bool
        FROM jsonb_each(%(changed)s::jsonb) ORDER BY key
        ON CONFLICT (user_id, kind) DO UPDATE
        SET in_app = excluded.in_app, email = excluded.email, push = excluded.push
        RETURNING kind""",
        {"user_id": user_id, "changed": json.dumps(changed)},
    )
