"""Who is connected, and telling others so.

Presence is what somebody's best connection says. It is announced to those they talk with, by state and time: whoever
gets two of the same person believes the later one, so announcing once too often does no harm. Rows change in one
statement, and what became of that is read in the next: of two devices that leave together, at least one sees it.
"""

from collections.abc import Iterable, Sequence
from typing import Any
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


def young(connection: str) -> str:
    """SQL: the connection with this alias is younger than API Gateway lets any become, two hours, and a little."""
    return f"{connection}.connected_at > now() - interval '130 minutes'"


def live(connection: str) -> str:
    """SQL: neither the connection with this alias nor its session has ended, as far as we know.

    A scalar subquery, looked up for each connection: of an EXISTS the planner may make a hash of all sessions.
    """
    return f"""({young(connection)} AND coalesce((
        SELECT true FROM sessions s JOIN users u ON u.id = s.user_id
        WHERE s.id = {connection}.session_id AND s.revoked_at IS NULL AND s.expires_at > now()
          AND u.status = 'active'), false))"""


_FORGET = """
    WITH gone AS (
        DELETE FROM connections
        WHERE id = ANY (%(ids)s) AND connected_at <= now() - make_interval(secs => %(age)s)
        RETURNING user_id, status, last_seen_at)
    SELECT user_id, max(status) AS was, max(last_seen_at) AS last_seen_at FROM gone GROUP BY user_id"""

# Alphabetically, too, nothing is less than away, and away less than online.
_ANNOUNCE = f"""
    SELECT c.id, json_build_object(
        'type', 'presence', 'user_id', person.user_id, 'status', coalesce(best.status, 'offline'),
        'last_seen_at', {timestamp("greatest(person.last_seen_at, best.last_seen_at)")},
        'at', {timestamp("now()")})::text AS frame
    FROM unnest(%(user_ids)s::uuid[], %(was)s::text[], %(seen)s::timestamptz[]) person(user_id, was, last_seen_at)
    CROSS JOIN LATERAL (
        SELECT max(c.status) AS status, max(c.last_seen_at) AS last_seen_at FROM connections c
        WHERE c.user_id = person.user_id AND {young("c")}) best
    CROSS JOIN LATERAL (
        SELECT DISTINCT near.user_id FROM conversation_members mine
        CROSS JOIN LATERAL (
            SELECT few.user_id, count(*) OVER () AS members FROM (
                SELECT user_id FROM conversation_members
                WHERE conversation_id = mine.conversation_id LIMIT {SMALL_GROUP + 1}) few) near
        WHERE mine.user_id = person.user_id AND near.members <= {SMALL_GROUP} AND near.user_id <> person.user_id) peer
    JOIN connections c ON c.user_id = peer.user_id AND {live("c")}
    WHERE person.was IS NULL OR coalesce(best.status, '') < person.was"""


def send(frames: Iterable[Frame]) -> None:
    """Post frames. Connections that are lost are forgotten, and whose they were is announced."""
    while frames:
        lost = post(frames)
        frames = forget(lost, age=_ESTABLISHED) if lost else []


def forget(connection_ids: Iterable[str], *, age: int = 0) -> list[Frame]:
    """Remove connections that are at least `age` seconds old; the frames that say so to those concerned."""
    with reading() as session:
        gone = rows(session, _FORGET, {"ids": list(connection_ids), "age": age})
        return _announcements(session, gone)


def announce(user_id: UUID) -> None:
    """Tell those concerned how somebody is present now; who connects does not fail with it."""
    try:
        with reading() as session:
            frames = _announcements(session, [(user_id, None, None)])
        send(frames)
    except Exception:
        logger.exception("Somebody's presence could not be announced.")


def _announcements(session: Any, people: Sequence[Any]) -> list[Frame]:
    if not people:
        return []
    user_ids, was, seen = zip(*people, strict=True)
    params = {"user_ids": list(user_ids), "was": list(was), "seen": list(seen)}
    return [(row.id, row.frame) for row in rows(session, _ANNOUNCE, params)]
