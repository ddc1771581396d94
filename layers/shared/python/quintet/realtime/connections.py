"""Who is connected, and telling others so.

Presence is what somebody's best connection says, from its first frame on. When it changes that is announced to those
they talk with, by state and time: whoever gets two of the same person believes the later one, so announcing once too
often does no harm. Rows change in one statement, and what became of that is read in the next: of two devices that leave
together, at least one sees it.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from quintet.db.json import timestamp
from quintet.db.reads import rows
from quintet.db.session import reading
from quintet.observability import logger
from quintet.realtime.sockets import Frame, post

SMALL_GROUP = 20
"""Members of the largest conversation in which everybody's coming and going is announced; others can be asked about."""

_ESTABLISHED = 10
"""Seconds after which a connection has been one: API Gateway calls it gone before, too."""


class Changed(NamedTuple):
    """Somebody of whom a connection has changed, or was removed."""

    user_id: UUID
    was: str | None
    """How they were present before; None: they were not."""
    last_seen_at: datetime


def present(connection: str) -> str:
    """SQL: the connection with this alias makes somebody present. Clients ping every five minutes; two may be lost."""
    return f"""({connection}.last_seen_at <> {connection}.connected_at
        AND {connection}.last_seen_at > now() - interval '12 minutes')"""


def signed_in(connection: str) -> str:
    """SQL: the session of the connection with this alias has not ended.

    A scalar subquery, looked up for each connection: of an EXISTS the planner may make a hash of all sessions.
    """
    return f"""coalesce((
        SELECT true FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE s.id = {connection}.session_id AND s.revoked_at IS NULL AND s.expires_at > now()
          AND u.status = 'active'), false)"""


def live(connection: str) -> str:
    """SQL: neither the connection with this alias nor its session has ended, as far as we know.

    API Gateway lets none become older than two hours.
    """
    return f"({connection}.connected_at > now() - interval '130 minutes' AND {signed_in(connection)})"


def best(user_id: str) -> str:
    """SQL: how this person is present; NULL when not. Alphabetically, too, away is less than online."""
    return f"(SELECT max(b.status) FROM connections b WHERE b.user_id = {user_id} AND {present('b')})"


# Which of them had sent a frame; were that long ago, others are told now.
_FORGET = f"""
    WITH gone AS (
        DELETE FROM connections
        WHERE id = ANY (%(ids)s) AND connected_at <= now() - make_interval(secs => %(age)s)
        RETURNING user_id, last_seen_at, CASE WHEN last_seen_at <> connected_at THEN status END AS status)
    SELECT user_id, greatest(max(status), {best("gone.user_id")}) AS was, max(last_seen_at) AS last_seen_at
    FROM gone GROUP BY user_id"""

_ANNOUNCE = f"""
    SELECT c.id, json_build_object(
        'type', 'presence', 'user_id', person.user_id, 'status', coalesce(now.status, 'offline'),
        'last_seen_at', {timestamp("greatest(person.last_seen_at, now.last_seen_at)")},
        'at', {timestamp("now()")})::text AS frame
    FROM unnest(%(user_ids)s::uuid[], %(was)s::text[], %(seen)s::timestamptz[]) person(user_id, was, last_seen_at)
    CROSS JOIN LATERAL (
        SELECT {best("person.user_id")} AS status, max(c.last_seen_at) AS last_seen_at FROM connections c
        WHERE c.user_id = person.user_id) now
    CROSS JOIN LATERAL (
        SELECT DISTINCT near.user_id FROM conversation_members mine
        CROSS JOIN LATERAL (
            SELECT few.user_id, count(*) OVER () AS members FROM (
                SELECT user_id FROM conversation_members
                WHERE conversation_id = mine.conversation_id LIMIT {SMALL_GROUP + 1}) few) near
        WHERE mine.user_id = person.user_id AND near.members <= {SMALL_GROUP} AND near.user_id <> person.user_id) peer
    JOIN connections c ON c.user_id = peer.user_id AND {live("c")}
    WHERE now.status IS DISTINCT FROM person.was"""


def send(frames: Iterable[Frame]) -> set[str]:
    """Post frames; returns which connections are to get them another time.

    Connections that are lost are forgotten, and whose they were is announced.
    """
    lost, unreached = post(frames)
    announce(forget(lost, age=_ESTABLISHED))
    return unreached


def forget(connection_ids: Iterable[str], *, age: int = 0) -> list[Changed]:
    """Remove connections that are at least `age` seconds old; returns whose they were."""
    ids = list(connection_ids)
    if not ids:
        return []
    with reading() as session:
        return [Changed(*row) for row in rows(session, _FORGET, {"ids": ids, "age": age})]


def announce(changed: Sequence[Changed]) -> None:
    """Tell those concerned how these are present now, of whom that is another than before; nothing fails with it."""
    if not changed:
        return
    user_ids, was, seen = zip(*changed, strict=True)
    try:
        with reading() as session:
            told = rows(session, _ANNOUNCE, {"user_ids": list(user_ids), "was": list(was), "seen": list(seen)})
        post((row.id, row.frame) for row in told)  # whoever is lost now is found by what happens next
    except Exception:
        logger.exception("Somebody's presence could not be announced.")
