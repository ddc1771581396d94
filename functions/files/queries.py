"""The SQL of folders and files."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from functions.files.schemas import FileRead, FolderRead
from quintet.db.json import Versioned, columns_of, one, page
from quintet.errors import NotFound
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_ROOT = "root"

_FOLDER = f"SELECT {columns_of(FolderRead, 'd')} FROM folders d WHERE true"
_FOLDERS = (
    _FOLDER
    + """
    AND d.project_id = %(project_id)s AND d.id < %(before)s
    AND (%(parent_id)s::uuid IS NULL OR d.parent_id = %(parent_id)s) AND (NOT %(top)s OR d.parent_id IS NULL)"""
)

_FILE = columns_of(FileRead, "f")
_FILTERS = """f.id < %(before)s
    AND (%(folder_id)s::uuid IS NULL OR f.folder_id = %(folder_id)s) AND (NOT %(top)s OR f.folder_id IS NULL)
    AND (%(status)s::text IS NULL OR f.status = %(status)s)
    AND (%(purpose)s::text IS NULL OR f.purpose = %(purpose)s)"""
_NEWEST = "ORDER BY f.id DESC LIMIT %(limit)s + 1"

# Each branch walks an index from its newest row on and stops after a page.
_OWN = f"""(SELECT {_FILE} FROM files f
    WHERE f.owner_id = %(caller)s AND f.project_id IS NULL AND {_FILTERS} {_NEWEST})"""
_SHARED = f"""(SELECT of_project.* FROM project_members m CROSS JOIN LATERAL (
    SELECT {_FILE} FROM files f WHERE f.project_id = m.project_id AND {_FILTERS} {_NEWEST}
    ) of_project WHERE m.user_id = %(caller)s)"""
_ALL = f"(SELECT {_FILE} FROM files f WHERE f.project_id IS NOT NULL AND {_FILTERS} {_NEWEST})"
_OF_PROJECT = f"SELECT {_FILE} FROM files f WHERE f.project_id = %(project_id)s AND {_FILTERS}"


class Stored(NamedTuple):
    """Where a file's content is, and what a link to it needs."""

    status: str
    bucket: str
    key: str
    version_id: str | None
    file_name: str
    detected_type: str | None


class Found(NamedTuple):
    """A file as JSON with its version, and its content."""

    json: Versioned
    stored: Stored


def list_folders(
    session: Session, caller: Principal, paging: PageRequest, *, project_id: UUID, parent_id: UUID | str | None
) -> bytes:
    """A page of a project's folders; of those in one folder, or at the top, when `parent_id` says so."""
    params = {"project_id": project_id, **_place("parent_id", parent_id), **_rights(caller)}
    return page(session, _FOLDERS + _visible("d"), params, paging)


def read_folder(session: Session, caller: Principal, folder_id: UUID) -> Versioned:
    """One folder; 404 when there is none that the caller may see."""
    return one(session, _FOLDER + _visible("d") + " AND d.id = %(id)s", {"id": folder_id, **_rights(caller)})


def list_files(
    session: Session,
    caller: Principal,
    paging: PageRequest,
    *,
    project_id: UUID | None,
    folder_id: UUID | str | None,
    status: str | None,
    purpose: str | None,
) -> bytes:
    """A page of the files the caller may see: their own and those of their projects."""
    if project_id is not None:
        sql = _OF_PROJECT + _visible("f")
    else:
        of_projects = _ALL if caller.can(Permission.PROJECTS_READ_ALL) else _SHARED
        sql = f"{_OWN} UNION ALL {of_projects}"
    params = {"project_id": project_id, "status": status, "purpose": purpose, **_place("folder_id", folder_id)}
    return page(session, sql, {**params, **_rights(caller)}, paging)


def read_file(session: Session, caller: Principal, file_id: UUID) -> Found:
    """One file; 404 when there is none that the caller may see."""
    statement = f"""
        SELECT row_to_json(r)::text, r.version, {", ".join(f"f.{name}" for name in Stored._fields)}
        FROM files f CROSS JOIN LATERAL (SELECT {_FILE}) r
        WHERE f.id = %(id)s AND (f.project_id IS NOT NULL OR f.owner_id = %(caller)s) {_visible("f", or_none=True)}"""
    params = {"id": file_id, **_rights(caller)}
    row = session.connection().exec_driver_sql(statement, params).one_or_none()
    if row is None:
        raise NotFound
    body, version, *stored = row
    return Found(Versioned(body.encode(), version), Stored(*stored))


def _visible(table: str, *, or_none: bool = False) -> str:
    """SQL: the caller may see the project of `table`'s row (or the row has none)."""
    return f""" AND ({f"{table}.project_id IS NULL OR" if or_none else ""} %(all)s OR EXISTS (
        SELECT FROM project_members me WHERE me.project_id = {table}.project_id AND me.user_id = %(caller)s))"""


def _rights(caller: Principal) -> dict[str, object]:
    return {"caller": caller.user_id, "all": caller.can(Permission.PROJECTS_READ_ALL)}


def _place(name: str, wanted: UUID | str | None) -> dict[str, object]:
    return {name: None if wanted == _ROOT else wanted, "top": wanted == _ROOT}
