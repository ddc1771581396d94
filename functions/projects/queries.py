"""The SQL of projects."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.projects.schemas import MemberRead, ProjectRead
from quintet.db.json import Versioned, columns_of, one, page
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_COLUMNS = columns_of(ProjectRead, "p")
_EVERY = f"SELECT {_COLUMNS} FROM projects p WHERE true"
_SHARED = f"""SELECT {_COLUMNS}
    FROM project_members m JOIN projects p ON p.id = m.project_id WHERE m.user_id = %(caller)s"""
_NEWEST = f"""SELECT {columns_of(ProjectRead, "p", id="m.project_id")}
    FROM project_members m JOIN projects p ON p.id = ANY (ARRAY[m.project_id]) WHERE m.user_id = %(caller)s
      AND m.project_id < %(before)s"""
"""The same from the newest membership on. It cannot be merged with a walk through all projects, as a plain equality
can: the planner takes that for quick, though of somebody who joined early it passes all that came later."""

_FILTERS = {
    "status": "p.status = %(status)s",
    "owner_id": "p.owner_id = %(owner_id)s",
    "product_type": "p.product_type = %(product_type)s",
    "q": "p.search @@ words_sought(%(q)s)",
}

_MEMBERS = f"""
    SELECT {columns_of(MemberRead, "m", id="m.user_id", full_name="u.full_name")}
    FROM project_members m JOIN users u ON u.id = m.user_id
    WHERE m.project_id = %(project_id)s AND m.user_id < %(before)s
      AND (%(all)s OR EXISTS (
          SELECT FROM project_members me WHERE me.project_id = m.project_id AND me.user_id = %(caller)s))"""


def list_projects(
    session: Session,
    caller: Principal,
    paging: PageRequest,
    *,
    status: str | None,
    owner_id: UUID | None,
    product_type: str | None,
    q: str | None,
) -> bytes:
    """A page of the projects the caller may see; archived ones only when `status` asks for them."""
    asked = {"status": status, "owner_id": owner_id, "product_type": product_type, "q": q}
    given = {name: value for name, value in asked.items() if value is not None}
    # A search may rather begin with what it finds.
    sql = f"{_visible(caller)} AND p.id < %(before)s" if q or caller.can(Permission.PROJECTS_READ_ALL) else _NEWEST
    conditions = [_FILTERS[name] for name in given]
    if status is None:
        conditions.append("p.status <> 'archived'")
    return page(session, " AND ".join([sql, *conditions]), {**given, "caller": caller.user_id}, paging)


def read_project(session: Session, caller: Principal, project_id: UUID) -> Versioned:
    """One project; 404 when there is none that the caller may see."""
    return one(session, _visible(caller) + " AND p.id = %(id)s", {"id": project_id, "caller": caller.user_id})


def list_members(session: Session, caller: Principal, project_id: UUID, paging: PageRequest) -> bytes:
    """A page of a project's members; 404 when there is no such project that the caller may see."""
    params = {
        "project_id": project_id,
        "caller": caller.user_id,
        "all": caller.can(Permission.PROJECTS_READ_ALL),
    }
    return page(session, _MEMBERS, params, paging, empty_is_missing=True)  # it has an owner at least


def _visible(caller: Principal) -> str:
    return _EVERY if caller.can(Permission.PROJECTS_READ_ALL) else _SHARED
