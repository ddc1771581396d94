"""From events to the connections of those who may read them, as one statement says at that moment.

Everything for one connection goes out together: ten messages into a busy conversation cost each member one frame. A
frame that comes twice does no harm, for clients drop what they have; one that cannot be posted closes its connection,
whose client connects again and asks for what it missed. Where neither works the batch comes again.
"""

from collections.abc import Collection, Iterable, Sequence

from quintet.db.reads import rows
from quintet.db.session import reading
from quintet.events.consumer import Claimed
from quintet.events.record import SYSTEM
from quintet.feed.reading import columns
from quintet.identity.scopes import readers
from quintet.realtime.connections import Changed, announce, forget, live, send
from quintet.realtime.sockets import MAX_FRAME, Frame, close

_CLOSED_AT_ONCE = 100
"""Connections that are closed, then forgotten: whoever is killed in between leaves the others to the next."""

# A connection whose session has ended is dead, and found by the event of that.
_AUDIENCE = f"""
    WITH happened AS (
        SELECT e.scope, e.transaction_id, e.id, row_to_json(item)::text AS json
        FROM events e CROSS JOIN LATERAL (SELECT {columns()}) item WHERE e.id = ANY (%(ids)s)
    ), scopes AS (
        SELECT DISTINCT scope, split_part(scope, ':', 1) AS kind, nullif(split_part(scope, ':', 2), '')::uuid AS id
        FROM happened
    ), reached AS (
        SELECT scopes.scope, c.id, {live("c")} AS live
        FROM scopes CROSS JOIN LATERAL ({readers("scopes.kind", "scopes.id")}) reader
        JOIN connections c ON c.user_id = reader.user_id
        {{more}})
    SELECT scope, ARRAY(SELECT json FROM happened h WHERE h.scope = scopes.scope ORDER BY transaction_id, id) AS events,
           ARRAY(SELECT id FROM reached r WHERE r.scope = scopes.scope AND live) AS live,
           ARRAY(SELECT id FROM reached r WHERE r.scope = scopes.scope AND NOT live) AS dead
    FROM scopes ORDER BY scope"""

# `system` concerns all sessions. Nothing else may look at every connection.
_OF_ALL = f"""
        UNION ALL SELECT scopes.scope, c.id, false FROM scopes JOIN connections c ON NOT {live("c")}
        WHERE scopes.kind = 'system'"""


def broadcast(happened: Sequence[Claimed]) -> None:
    """Hand events to the connections of their readers, and close those whose sessions have ended."""
    audience_of = _AUDIENCE.format(more=_OF_ALL if any(event.scope == SYSTEM for event in happened) else "")
    with reading() as session:
        audience = rows(session, audience_of, {"ids": [event.id for event in happened]})
    events = {row.scope: row.events for row in audience}
    heard: dict[str, tuple[str, ...]] = {}
    for row in audience:
        for id in row.live:
            heard[id] = (*heard.get(id, ()), row.scope)
    packed = {
        scopes: list(_packed(event for scope in scopes for event in events[scope])) for scopes in {*heard.values()}
    }
    frames: list[Frame] = [(id, frame) for id, scopes in heard.items() for frame in packed[scopes]]
    unreached = send(frames) | _end({id for row in audience for id in row.dead})
    if unreached:
        raise ConnectionError(f"{len(unreached)} connections could be neither reached nor closed.")


def _end(dead: Collection[str]) -> set[str]:
    """Close connections and forget those that are closed; returns the others, whose rows stay until they are."""
    ids, closed = sorted(dead), set[str]()
    left: list[Changed] = []
    for start in range(0, len(ids), _CLOSED_AT_ONCE):
        ended = close(ids[start : start + _CLOSED_AT_ONCE])
        left += forget(ended)
        closed |= ended
    announce(left)
    return {*ids} - closed


def _packed(events: Iterable[str]) -> Iterable[str]:
    """Frames of as many events as fit into one; a large event has one of its own."""
    batch: list[str] = []
    size = 0
    for event in events:
        length = len(event.encode()) + 1
        if batch and size + length > MAX_FRAME - len(_FRAME):
            yield _FRAME % ",".join(batch)
            batch, size = [], 0
        batch.append(event)
        size += length
    if batch:
        yield _FRAME % ",".join(batch)


_FRAME = '{"type":"events","events":[%s]}'
