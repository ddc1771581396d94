"""The SQL of tasks: lists in three orders, each of which an index walks."""

import base64
import binascii
import datetime as dt
import re
from collections.abc import Callable
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from functions.tasks.schemas import TaskRead
from quintet.db.json import Versioned, columns_of, one
from quintet.db.models.tasks import TaskStatus
from quintet.db.reads import rows
from quintet.errors import BadRequest, NotFound
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest, fitting, page_bytes

Sort = Literal["position", "newest", "due_date"]

_COLUMNS = columns_of(TaskRead, "t")
_MAY_SEE = """(%(all)s OR EXISTS (
    SELECT FROM project_members m WHERE m.project_id = {project} AND m.user_id = %(caller)s))"""
_ONE = f"SELECT {_COLUMNS} FROM tasks t WHERE t.id = %(id)s AND {_MAY_SEE.format(project='t.project_id')}"
_THERE = f"EXISTS (SELECT FROM projects p WHERE p.id = %(project_id)s AND {_MAY_SEE.format(project='p.id')})"
_SHARED = "(SELECT true FROM project_members m WHERE m.project_id = t.project_id AND m.user_id = %(caller)s)"
"""Asked of each task: the planner would take a join for a reason to read all that somebody has."""
_FROM_EACH = """tasks t WHERE t.id = ANY (ARRAY(
    SELECT t.id FROM project_members m CROSS JOIN LATERAL (
        SELECT t.id, t.due_date FROM tasks t WHERE t.project_id = m.project_id AND {conditions} {page}) t
    WHERE m.user_id = %(caller)s {page}))"""
"""Some of each project, by its index; a walk through everybody's tasks might pass very many."""


class _Order(NamedTuple):
    """How a list is sorted."""

    columns: list[str]  # as an index has them
    again: str  # the same of the rows of a page
    key: str  # SQL: what a cursor holds of a row
    types: list[str]  # what that is to the database
    forms: list[Callable[[str], Any]]  # what it is to be; ValueError for anything else
    begin: list[str]  # what nothing comes before
    descends: bool = False


def _position(value: str) -> str:
    if not re.fullmatch("[0-9A-Za-z]+", value):
        raise ValueError
    return value


def _due(value: str) -> str:
    return value if value == "infinity" else dt.date.fromisoformat(value).isoformat()


_DUE = "coalesce(t.due_date, 'infinity'::date)"
"""As the indexes have it: what has no due date is last."""
_ORDERS: dict[Sort, _Order] = {
    "position": _Order(
        columns=["t.position"],
        again="r.position",
        key="ARRAY[r.position]",
        types=["text"],
        forms=[_position],
        begin=[""],
    ),
    "newest": _Order(
        columns=["t.id"],
        again="r.id DESC",
        key="ARRAY[r.id::text]",
        types=["uuid"],
        forms=[UUID],
        begin=[str(UUID(int=2**128 - 1))],
        descends=True,
    ),
    "due_date": _Order(
        columns=[_DUE, "t.id"],
        again="r.due_date, r.id",
        key="ARRAY[coalesce(r.due_date::text, 'infinity'), r.id::text]",
        types=["date", "uuid"],
        forms=[_due, UUID],
        begin=["-infinity", str(UUID(int=0))],
    ),
}

_FILTERS = {
    "project_id": "t.project_id = %(project_id)s",
    "assignee_id": "t.assignee_id = %(assignee_id)s",
    "status": "t.status = %(status)s",
    "due_before": f"{_DUE} < %(due_before)s",
    "q": "t.search @@ words_sought(%(q)s)",
}
_IN_PROJECT = "t.project_id BETWEEN %(project_id)s AND %(project_id)s"
"""The same as equality, but not to the planner: with that it may walk the tasks of all projects in this order, which
passes very many when those of this one are most of the table, but not the first."""


def list_tasks(session: Session, caller: Principal, paging: PageRequest, **asked: Any) -> bytes:
    """A page of the tasks the caller may see, as `listing` has them; 404 for a project they may not see."""
    sql, params = listing(caller, paging, **asked)
    found = rows(session, sql, params)
    if not found:
        raise NotFound
    items = [row.item for row in found if row.item is not None]
    shown = fitting(items[: paging.limit])
    following = _encode(found[shown - 1].key) if len(items) > shown else None
    return page_bytes(",".join(items[:shown]), following)


def listing(
    caller: Principal,
    paging: PageRequest,
    *,
    sort: Sort | None = None,
    project_id: UUID | None = None,
    assignee_id: UUID | None = None,
    status: TaskStatus | None = None,
    due_before: dt.date | None = None,
    q: str | None = None,
) -> tuple[str, dict[str, Any]]:
    """The SQL of a page and one item more, and its parameters.

    Without items there is one row of nulls; none at all when there is no such project that the caller may see.
    """
    sort = sort or ("newest" if project_id is None else "position")
    if sort == "position" and project_id is None:
        raise BadRequest.at("query/sort", "Tasks have positions within a project; send `project_id` too.")
    order = _ORDERS[sort]
    asked = {"project_id": project_id, "assignee_id": assignee_id, "status": status, "due_before": due_before, "q": q}
    given = {name: value for name, value in asked.items() if value is not None}
    filters = [_FILTERS[name] for name in given]
    columns, values = order.columns, [f"%(key{n})s::{type}" for n, type in enumerate(order.types)]
    if project_id is not None and assignee_id is None and sort != "position":
        filters[0] = _IN_PROJECT
        columns, values = ["t.project_id", *columns], ["%(project_id)s", *values]
    beyond = f"({', '.join(columns)}) {'<' if order.descends else '>'} ({', '.join(values)})"
    conditions = [beyond, *filters]
    by = ", ".join(f"{column} DESC" if order.descends else column for column in columns)
    page = f"ORDER BY {by} LIMIT %(limit)s + 1"
    everywhere = project_id is None and not caller.can(Permission.PROJECTS_READ_ALL)
    if everywhere and assignee_id is None:
        source = _FROM_EACH.format(conditions=" AND ".join(conditions), page=page)
    else:  # an index has what is asked for: of a person most is to be seen by who asks
        source = f"tasks t WHERE {' AND '.join([*conditions, _SHARED] if everywhere else conditions)}"
    sql = f"""
        SELECT row_to_json(r)::text AS item, {order.key} AS key
        FROM (SELECT WHERE {"true" if project_id is None else _THERE}) visible
        LEFT JOIN (SELECT {_COLUMNS} FROM {source} {page}) r ON true ORDER BY {order.again}"""
    keys = _decode(paging.cursor, order) if paging.cursor else order.begin
    params = {**given, **{f"key{n}": key for n, key in enumerate(keys)}, "limit": paging.limit, **_rights(caller)}
    return sql, params


def read_task(session: Session, caller: Principal, task_id: UUID) -> Versioned:
    """One task; 404 when there is none that the caller may see."""
    return one(session, _ONE, {"id": task_id, **_rights(caller)})


def _rights(caller: Principal) -> dict[str, object]:
    return {"caller": caller.user_id, "all": caller.can(Permission.PROJECTS_READ_ALL)}


def _encode(keys: list[str]) -> str:
    return base64.urlsafe_b64encode("|".join(keys).encode()).rstrip(b"=").decode()


def _decode(cursor: str, order: _Order) -> list[str]:
    """The keys of a cursor; 400 when it is none of ours, or of another order."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        keys = base64.b64decode(padded, altchars=b"-_", validate=True).decode().split("|")
        return [str(form(key)) for form, key in zip(order.forms, keys, strict=True)]
    except (ValueError, binascii.Error):
        raise BadRequest.at(
            "query/cursor", "Send a next_cursor of an earlier answer, as it was, with the same `sort`."
        ) from None
