"""The SQL of events: which of them the caller may read, and which of those they ask for."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from functions.events.schemas import Filters
from quintet.db.json import page
from quintet.db.partitions import month_start, uuid_at
from quintet.events.record import SYSTEM
from quintet.feed.position import LONGEST_TRANSACTION, Cursor, Position
from quintet.feed.reading import COMPLETE, columns, probed, read_after, start_of
from quintet.identity.campaigns import rights
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal
from quintet.identity.scopes import CONVERSATIONS, MINE, OWN, PUBLIC, READABLE, parts
from quintet.pagination import PageRequest, page_bytes

_EPOCH = datetime(1970, 1, 2, tzinfo=UTC)

_IP = "CASE WHEN %(all)s OR e.actor_id = %(caller)s THEN host(e.ip) END"

_FILTERS = """
    e.id >= %(lower)s AND e.id < %(upper)s
    AND (%(type)s::text IS NULL OR e.type = %(type)s)
    AND (%(subject_type)s::text IS NULL OR e.subject_type = %(subject_type)s)
    AND (%(subject_id)s::uuid IS NULL OR e.subject_id = %(subject_id)s)
    AND (%(actor_id)s::uuid IS NULL OR e.actor_id = %(actor_id)s)
    AND (%(since)s::timestamptz IS NULL OR e.at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR e.at < %(until)s)"""

_NEWEST = "AND e.id < %(before)s ORDER BY e.id DESC"


def trail(session: Session, caller: Principal, paging: PageRequest, filters: Filters) -> bytes:
    """A page of the events the caller may read, newest first; 404 for a named scope that they may not."""
    sql = f"SELECT {columns(_IP)} FROM ({_found(caller, filters, _NEWEST)}) e"
    return page(session, sql, _params(caller, filters), paging, visible=_visible(caller, filters))


def feed(session: Session, caller: Principal, after: str, limit: int, filters: Filters) -> bytes:
    """The events that come next, oldest first, and the cursor behind them."""
    start = start_of(after)
    keep = start.keep if start else None
    read = read_after(
        session,
        Cursor.at(keep) if keep else None,
        found=_found(caller, filters, COMPLETE),
        params=_params(caller, filters, keep),
        limit=limit,
        ip=_IP,
        visible=_visible(caller, filters),
    )
    return page_bytes(",".join(item.json for item in read.items if item.json), str(read.end(len(read.items))))


def _found(caller: Principal, filters: Filters, order: str) -> str:
    """The events the caller may read, in `order`, one more than the limit of each scope at most."""
    matching = f"{_FILTERS} {order}"
    limited = f"{matching} LIMIT %(limit)s + 1"
    if filters.scope:
        told = f"{_visible(caller, filters)} AND {PUBLIC if _of_another(caller, filters.scope) else 'true'}"
        return f"SELECT * FROM events e WHERE e.scope = %(scope)s AND {told} AND {limited}"
    if caller.can(Permission.EVENTS_READ_ALL):  # and yet not what happens in other people's conversations
        public = f"SELECT * FROM events e WHERE {PUBLIC} AND {limited}"
        return f"(({public}) UNION {probed(OWN, matching)}) UNION ALL {probed(CONVERSATIONS, matching)}"
    return probed(MINE, matching)


def _of_another(caller: Principal, scope: str) -> bool:
    return scope.startswith("user:") and scope != f"user:{caller.user_id}"


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
        "manages_courses": caller.can(Permission.COURSES_MANAGE_ALL),
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
