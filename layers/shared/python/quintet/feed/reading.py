"""The SQL of the feed. Scopes are probed one by one, each with the limit: so a page costs the same however long the
log is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from quintet.db.json import timestamp
from quintet.db.reads import rows
from quintet.errors import NotFound
from quintet.feed.position import LATEST, Cursor, Position, too_old

_AFTER = "AND (e.transaction_id, e.id) > (%(transaction_id)s::text::xid8, %(id)s)"
_COMPLETE = "AND e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())"
_IN_ORDER = "ORDER BY e.transaction_id, e.id"

COMPLETE = f"{_AFTER} {_COMPLETE} {_IN_ORDER}"
"""What comes after a position, of what nothing will come before any more: each event once."""

VISIBLE = f"{_AFTER} {_IN_ORDER}"
"""What comes after a position, with what was committed while an older transaction is open: it will come again."""


def columns(ip: str = "NULL") -> str:
    """The select list of an event `e` as clients see it. `ip`: SQL for the address, which few may see."""
    return f"""e.id, {timestamp("e.at")} AS at, e.type, e.actor_id, e.subject_type, e.subject_id, e.data, e.scope,
        {ip} AS ip, e.request_id,
        lpad(to_hex(e.transaction_id::text::bigint), 16, '0') || '-' || e.id AS position"""


def probed(scopes: str, matching: str) -> str:
    """The events of these scopes that meet a condition which ends in an order: `limit` and one more of each at most."""
    return f"""
        SELECT found.* FROM ({scopes}) mine
        CROSS JOIN LATERAL (
            SELECT * FROM events e WHERE e.scope = mine.scope AND {matching} LIMIT %(limit)s + 1) found"""


@dataclass(frozen=True, slots=True)
class Item:
    """An event as JSON, or None when it is not shown, and the position behind it."""

    json: str | None
    end: Position


@dataclass(frozen=True, slots=True)
class Read:
    """What comes next, and whether there is more after that."""

    start: Cursor | None
    items: list[Item]
    more: bool
    horizon: Position
    """Behind all that is complete."""

    def end(self, count: int) -> Cursor:
        """Where to go on from, having taken so many of the items.

        When that is all there is, it is the horizon, so that a reader who rarely has news does not fall behind the
        months that are kept. What is read beyond it is left behind page by page, and comes again after the last.
        """
        beyond = self.start is not None and self.start.keep != self.start.page
        keep = self.start.keep if self.start is not None and beyond else self.horizon
        if count == len(self.items) and not self.more:
            return Cursor.at(keep)
        last = self.items[count - 1].end
        return Cursor(keep, last) if beyond or last.transaction_id > keep.transaction_id else Cursor.at(last)


def read_after(
    session: Session,
    start: Cursor | None,
    *,
    found: str,
    params: Mapping[str, Any],
    limit: int,
    ip: str = "NULL",
    visible: str = "true",
    shown: str = "true",
) -> Read:
    """The events of the SQL `found` that come after `start`, oldest first; None is the present end.

    404 when the SQL condition `visible` is false. `shown`: one on an event `e`; the others are read past, a page of
    them at a time.
    """
    bounds = {"transaction_id": str(start.page.transaction_id), "id": start.page.id} if start else {}
    events = found if start else "SELECT * FROM events WHERE false"
    statement = f"""
        SELECT item.*, pg_snapshot_xmin(pg_current_snapshot())::text AS horizon, uuidv7() AS now, {visible} AS visible
        FROM (SELECT) always LEFT JOIN (
            SELECT e.transaction_id, e.id,
                (SELECT row_to_json(item)::text FROM (SELECT {columns(ip)} WHERE {shown}) item) AS json
            FROM ({events}) e ORDER BY e.transaction_id, e.id LIMIT %(limit)s + 1) item ON true
        ORDER BY item.transaction_id, item.id"""
    got = rows(session, statement, {**params, **bounds, "limit": limit})
    if not got[0].visible:
        raise NotFound
    horizon = int(got[0].horizon)
    if start and start.keep.transaction_id >= horizon:
        raise too_old()  # of a database that is no more: this one was restored from a backup
    items = [Item(row.json, Position(int(row.transaction_id), row.id)) for row in got if row.id is not None]
    return Read(start, items[:limit], len(items) > limit, Position(horizon - 1, got[0].now))


def start_of(after: str) -> Cursor | None:
    """Where `after` begins: `start`, `latest` (None), or a cursor; 400 when it is none of ours, 410 past retention."""
    return None if after == LATEST else Cursor.parse(after)
