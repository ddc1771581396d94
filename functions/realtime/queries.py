"""The SQL of connections."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.db.json import timestamp
from quintet.db.models.connections import ConnectionStatus
from quintet.db.reads import rows
from quintet.events.types import LIVE
from quintet.feed.position import Cursor
from quintet.feed.reading import VISIBLE, Read, probed, read_after, start_of
from quintet.identity.conversations import is_member
from quintet.identity.one_time_tokens import hash_of
from quintet.identity.scopes import MINE
from quintet.realtime.connections import Changed, best, live, present, signed_in

MOST = 20
"""Connections of one person: another takes the place of the one that was heard of least recently."""

# The session is locked, so that whoever ends it meanwhile finds the connection.
_CONNECT = f"""
    WITH spent AS (
        UPDATE one_time_tokens SET used_at = now()
        WHERE hash = %(hash)s AND purpose = 'realtime_ticket' AND used_at IS NULL AND expires_at > now()
        RETURNING session_id
    ), alive AS (
        SELECT s.id, s.user_id FROM spent JOIN sessions s ON s.id = spent.session_id JOIN users u ON u.id = s.user_id
        WHERE s.revoked_at IS NULL AND s.expires_at > now() AND u.status = 'active' FOR SHARE OF s
    )
    INSERT INTO connections (id, user_id, session_id) SELECT %(id)s, user_id, id FROM alive
    RETURNING ARRAY(
        SELECT others.id FROM connections others WHERE others.user_id = connections.user_id
        ORDER BY others.last_seen_at DESC OFFSET {MOST - 1}) AS replaced"""

_FIND = f"""
    SELECT c.user_id, c.status, c.connected_at, {signed_in("c")} AS signed_in,
           c.last_seen_at = c.connected_at OR c.last_seen_at < now() - interval '30 seconds' AS stale
    FROM connections c WHERE c.id = %(id)s"""

_SEEN = f"""
    WITH before AS MATERIALIZED (SELECT {best("%(user_id)s")} AS was)
    UPDATE connections SET last_seen_at = now(), status = %(status)s FROM before WHERE id = %(id)s
    RETURNING user_id, was, last_seen_at"""

# Membership is judged first: how long it takes tells nothing either.
_OTHERS = f"""
    SELECT {is_member("%(conversation_id)s")} AS member, ARRAY(
        SELECT c.id FROM conversation_members m JOIN connections c ON c.user_id = m.user_id
        WHERE {is_member("%(conversation_id)s")}
          AND m.conversation_id = %(conversation_id)s AND m.user_id <> %(caller)s AND {live("c")}) AS connections"""

_PEOPLE = f"""
    WITH near AS MATERIALIZED (
        SELECT DISTINCT theirs.user_id FROM conversation_members mine
        JOIN conversation_members theirs ON theirs.conversation_id = mine.conversation_id
        WHERE mine.user_id = %(caller)s AND theirs.user_id <> %(caller)s)
    SELECT json_build_object('type', 'people', 'people', coalesce(json_agg(person), '[]'),
                             'at', {timestamp("now()")})::text AS frame
    FROM (
        SELECT c.user_id, max(c.status) AS status, {timestamp("max(c.last_seen_at)")} AS last_seen_at
        FROM near JOIN connections c ON c.user_id = near.user_id WHERE {present("c")} AND {live("c")}
        GROUP BY c.user_id ORDER BY max(c.last_seen_at) DESC LIMIT 200) person"""


def connect(session: Session, *, ticket: str, connection_id: str) -> list[str] | None:
    """Spend a ticket and note the connection; those it takes the place of. None when the ticket, or its session, is no
    good."""
    found = rows(session, _CONNECT, {"hash": hash_of(ticket), "id": connection_id})
    return found[0].replaced if found else None


def find(session: Session, connection_id: str) -> Any:
    """`user_id`, `status`, `connected_at`, and whether it is `signed_in` still and `stale`; None when it is unknown."""
    found = rows(session, _FIND, {"id": connection_id})
    return found[0] if found else None


def seen(session: Session, connection_id: str, user_id: UUID, status: ConnectionStatus) -> list[Changed]:
    """Note that something came from the connection, if it is still there."""
    noted = rows(session, _SEEN, {"id": connection_id, "user_id": user_id, "status": status})
    return [Changed(*row) for row in noted]


def others_in(session: Session, caller: UUID, conversation_id: UUID) -> list[str] | None:
    """The connections of a conversation's other members; None when the caller takes no part in it."""
    [row] = rows(session, _OTHERS, {"caller": caller, "conversation_id": conversation_id})
    return row.connections if row.member else None


def people(session: Session, caller: UUID) -> str:
    """The frame that says who is connected of those the caller talks with."""
    [row] = rows(session, _PEOPLE, {"caller": caller})
    frame: str = row.frame
    return frame


def replay(session: Session, caller: UUID, after: str, *, connected_at: datetime, limit: int) -> Read:
    """What comes after a cursor in the scopes the caller takes part in, whatever else they may read; shown is what
    those who are connected get as it happens.

    All that is committed: what a late writer keeps the cursor from was handed out already, perhaps before the caller
    was connected. Pages beyond that are of one connection: what was committed behind them, the next has not heard.
    """
    start = start_of(after)
    if start and start.keep.at < connected_at:
        start = Cursor.at(start.keep)
    return read_after(
        session,
        start,
        found=probed(MINE, f"e.id >= %(lower)s {VISIBLE}"),
        params={"caller": caller, "lower": start.page.oldest_after if start else None, "live": sorted(LIVE)},
        limit=limit,
        shown="e.type = ANY (%(live)s)",
    )
