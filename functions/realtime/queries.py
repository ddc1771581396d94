"""The SQL of connections."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.db.json import timestamp
from quintet.db.models.connections import ConnectionStatus
from quintet.db.reads import rows
from quintet.feed.reading import VISIBLE, Read, probed, read_after, start_of
from quintet.identity.conversations import is_member
from quintet.identity.one_time_tokens import hash_of
from quintet.identity.scopes import MINE
from quintet.realtime.connections import live

# The session is locked, so that whoever ends it meanwhile finds the connection.
_CONNECT = """
    WITH spent AS (
        UPDATE one_time_tokens SET used_at = now()
        WHERE hash = %(hash)s AND purpose = 'realtime_ticket' AND used_at IS NULL AND expires_at > now()
        RETURNING session_id
    ), alive AS (
        SELECT s.id, s.user_id FROM spent JOIN sessions s ON s.id = spent.session_id JOIN users u ON u.id = s.user_id
        WHERE s.revoked_at IS NULL AND s.expires_at > now() AND u.status = 'active' FOR SHARE OF s
    )
    INSERT INTO connections (id, user_id, session_id) SELECT %(id)s, user_id, id FROM alive RETURNING user_id"""

_FIND = f"""
    SELECT c.user_id, c.session_id, c.status, c.last_seen_at < now() - interval '30 seconds' AS stale
    FROM connections c WHERE c.id = %(id)s AND {live("c")}"""

_SEEN = "UPDATE connections SET last_seen_at = now(), status = %(status)s WHERE id = %(id)s RETURNING id"

_OTHERS = f"""
    SELECT {is_member("%(conversation_id)s")} AS member, ARRAY(
        SELECT c.id FROM conversation_members m JOIN connections c ON c.user_id = m.user_id
        WHERE m.conversation_id = %(conversation_id)s AND m.user_id <> %(caller)s AND {live("c")}) AS connections"""

_PEOPLE = f"""
    WITH near AS MATERIALIZED (
        SELECT DISTINCT theirs.user_id FROM conversation_members mine
        JOIN conversation_members theirs ON theirs.conversation_id = mine.conversation_id
        WHERE mine.user_id = %(caller)s AND theirs.user_id <> %(caller)s)
    SELECT json_build_object('type', 'people', 'people', coalesce(json_agg(person), '[]'),
                             'at', {timestamp("now()")})::text AS frame
    FROM (
        SELECT c.user_id, max(c.status) AS status, {timestamp("max(c.last_seen_at)")} AS last_seen_at
        FROM near JOIN connections c ON c.user_id = near.user_id WHERE {live("c")}
        GROUP BY c.user_id ORDER BY max(c.last_seen_at) DESC LIMIT 200) person"""


def connect(session: Session, *, ticket: str, connection_id: str) -> UUID | None:
    """Spend a ticket and note the connection; whose it is, or None when the ticket or its session is no good."""
    found = rows(session, _CONNECT, {"hash": hash_of(ticket), "id": connection_id})
    return found[0].user_id if found else None


def find(session: Session, connection_id: str) -> Any:
    """`user_id`, `status` and whether it was `stale`, of a connection whose session lives; None of any other."""
    found = rows(session, _FIND, {"id": connection_id})
    return found[0] if found else None


def seen(session: Session, connection_id: str, status: ConnectionStatus) -> None:
    """Note that something came from the connection."""
    rows(session, _SEEN, {"id": connection_id, "status": status})


def others_in(session: Session, caller: UUID, conversation_id: UUID) -> list[str] | None:
    """The connections of a conversation's other members; None when the caller takes no part in it."""
    [row] = rows(session, _OTHERS, {"caller": caller, "conversation_id": conversation_id})
    return row.connections if row.member else None


def people(session: Session, caller: UUID) -> str:
    """The frame that says who is connected of those the caller talks with."""
    [row] = rows(session, _PEOPLE, {"caller": caller})
    frame: str = row.frame
    return frame


def replay(session: Session, caller: UUID, after: str, limit: int) -> Read:
    """What comes after a cursor in the scopes the caller takes part in, whatever else they may read.

    All that is committed: what a late writer keeps the cursor from was handed out already, perhaps before the caller
    was connected.
    """
    start = start_of(after)
    params = {"caller": caller, "lower": start.oldest_after if start else None}
    return read_after(session, start, found=probed(MINE, f"e.id >= %(lower)s {VISIBLE}"), params=params, limit=limit)
