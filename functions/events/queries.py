"""The SQL of events. Scopes that the caller may read are probed one by one, each with the limit: so a page costs the
same however long the log is."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from functions.events.position import LATEST, LONGEST_TRANSACTION, Position, too_old
from functions.events.schemas import EventRead, Filters
from quintet.db.json import columns_of, page
from quintet.db.partitions import month_start, uuid_at
from quintet.errors import NotFound
from quintet.events.record import SYSTEM
from quintet.identity.campaigns import rights
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal
from quintet.identity.scopes import CONVERSATIONS, MINE, OWN, PUBLIC, READABLE, parts
from quintet.pagination import PageRequest, page_bytes

_EPOCH = datetime(1970, 1, 2, tzinfo=UTC)

_COLUMNS = columns_of(EventRead, "e", ip="CASE WHEN %(all)s OR e.actor_id = %(caller)s THEN host(e.ip) END")

_FILTERS = """
    e.id >= %(lower)s AND e.id < %(upper)s
    AND (%(type)s::text IS NULL OR e.type = %(type)s)
    AND (%(subject_type)s::text IS NULL OR e.subject_type = %(subject_type)s)
    AND (%(subject_id)s::uuid IS NULL OR e.subject_id = %(subject_id)s)
    AND (%(actor_id)s::uuid IS NULL OR e.actor_id = %(actor_id)s)
    AND (%(since)s::timestamptz IS NULL OR e.at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR e.at < %(until)s)"""

_NEWEST = "AND e.id < %(before)s ORDER BY e.id DESC"
_NEXT = """
    AND (e.transaction_id, e.id) > (%(transaction_id)s::text::xid8, %(id)s)
    AND e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY e.transaction_id, e.id"""


def trail(session: Session, caller: Principal, paging: PageRequest, filters: Filters) -> bytes:
    """A page of the events the caller may read, newest first; 404 for a named scope that they may not."""
    sql = f"SELECT {_COLUMNS} FROM ({_found(caller, filters, _NEWEST)}) e"
    return page(session, sql, _params(caller, filters), paging, visible=_visible(caller, filters))


def feed(session: Session, caller: Principal, after: str, limit: int, filters: Filters) -> bytes:
    """The events that come next, oldest first, and the cursor behind them.

    When there are no more, the cursor is behind all that is complete, so that a reader who rarely has news does not
    fall behind the months that are kept.
    """
    start = None if after == LATEST else Position.parse(after)
    bounds = {"transaction_id": str(start.transaction_id), "id": start.id} if start else {}
    found = _found(caller, filters, _NEXT) if start else "SELECT * FROM events WHERE false"
    statement = f"""
        WITH numbered AS (
            SELECT row_number() OVER (ORDER BY e.transaction_id, e.id) AS n, e.transaction_id, e.id,
                   (SELECT row_to_json(item)::text FROM (SELECT {_COLUMNS}) item) AS item
            FROM ({found}) e ORDER BY e.transaction_id, e.id LIMIT %(limit)s + 1)
        SELECT string_agg(item, ',' ORDER BY n) FILTER (WHERE n <= %(limit)s) AS items,
               (array_agg(transaction_id::text) FILTER (WHERE n = %(limit)s))[1] AS last_transaction_id,
               (array_agg(id) FILTER (WHERE n = %(limit)s))[1] AS last_id, count(*) > %(limit)s AS more,
               pg_snapshot_xmin(pg_current_snapshot())::text AS horizon, uuidv7() AS now,
               {_visible(caller, filters)} AS visible
        FROM numbered"""
    params = {**_params(caller, filters, start), **bounds, "limit": limit}
    row = session.connection().exec_driver_sql(statement, params).one()
    if not row.visible:
        raise NotFound
    horizon = int(row.horizon)
    if start and start.transaction_id >= horizon:
        raise too_old()  # of a database that is no more: this one was restored from a backup
    end = Position(int(row.last_transaction_id), row.last_id) if row.more else Position(horizon - 1, row.now)
    return page_bytes(row.items, str(end))


def _found(caller: Principal, filters: Filters, order: str) -> str:
    """The events the caller may read, in `order`, one more than the limit of each scope at most."""
    matching = f"{_FILTERS} {order} LIMIT %(limit)s + 1"
    if filters.scope:
        told = f"{_visible(caller, filters)} AND {PUBLIC if _of_another(caller, filters.scope) else 'true'}"
        return f"SELECT * FROM events e WHERE e.scope = %(scope)s AND {told} AND {matching}"
    if caller.can(Permission.EVENTS_READ_ALL):  # and yet not what happens in other people's conversations
        public = f"SELECT * FROM events e WHERE {PUBLIC} AND {matching}"
        return f"(({public}) UNION {_probed(OWN, matching)}) UNION ALL {_probed(CONVERSATIONS, matching)}"
    return _probed(MINE, matching)


def _of_another(caller: Principal, scope: str) -> bool:
    return scope.startswith("user:") and scope != f"user:{caller.user_id}"


def _probed(scopes: str, matching: str) -> str:
    return f"""
        SELECT found.* FROM ({scopes}) mine
        CROSS JOIN LATERAL (SELECT * FROM events e WHERE e.scope = mine.scope AND {matching}) found"""


def _visible(caller: Principal, filters: Filters) -> str:
    if filters.scope is None:
        return "true"
    kind = filters.scope.partition(":")[0]
    if caller.can(Permission.EVENTS_READ_ALL) and kind != "conversation":
        return "true"
    return READABLE.get(kind, "false")


def _params(caller: Principal, filters: Filters, start: Position | None = None) -> dict[str, Any]:
    """`lower` and `upper` bound the ids, so that the planner leaves out the months that are not needed."""
    now = datetime.now(UTC)
    lower, upper = UUID(int=0), uuid_at(month_start(now, 2))
    if start:
        lower = start.oldest_after
    if filters.since:
        lower = max(lower, uuid_at(max(filters.since, _EPOCH) - LONGEST_TRANSACTION))
    if filters.until:
        upper = min(upper, uuid_at(min(filters.until, now + timedelta(days=1)) + LONGEST_TRANSACTION))
    return {
        **rights(caller),
        "all": caller.can(Permission.EVENTS_READ_ALL),
        "reads_projects": caller.can(Permission.PROJECTS_READ_ALL),
        "type": filters.type,
        "subject_type": filters.subject_type,
        "subject_id": filters.subject_id,
        "actor_id": filters.actor_id,
        "scope": filters.scope,
        **parts(filters.scope or SYSTEM),
        "since": filters.since,
        "until": filters.until,
        "lower": lower,
        "upper": upper,
    }
