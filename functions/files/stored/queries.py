"""The SQL of files."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from functions.files.queries import PROJECT_VISIBLE, inside, rights, visible
from functions.files.stored.schemas import FileRead
from quintet.db.json import Versioned, columns_of, page
from quintet.db.models.files import FilePurpose, FileStatus
from quintet.errors import NotFound
from quintet.files.links import Stored
from quintet.identity import courses
from quintet.identity.conversations import attached
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

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


class Found(NamedTuple):
    """A file as JSON with its version, and its content."""

    json: Versioned
    stored: Stored


def list_files(
    session: Session,
    caller: Principal,
    paging: PageRequest,
    *,
    project_id: UUID | None,
    folder_id: UUID | str | None,
    status: FileStatus | None,
    purpose: FilePurpose | None,
) -> bytes:
    """A page of the files the caller may see: their own and those of their projects.

    404 when `project_id` is of no project that they may see.
    """
    params = {"status": status, "purpose": purpose, **inside("folder_id", folder_id), **rights(caller)}
    if project_id is not None:
        return page(session, _OF_PROJECT, {"project_id": project_id, **params}, paging, visible=PROJECT_VISIBLE)
    of_projects = _ALL if caller.can(Permission.PROJECTS_READ_ALL) else _SHARED
    return page(session, f"{_OWN} UNION ALL {of_projects}", params, paging)


def read_file(session: Session, caller: Principal, file_id: UUID) -> Found:
    """One file; 404 when there is none that the caller may see."""
    statement = f"""
        SELECT row_to_json(r)::text, r.version, {", ".join(f"f.{name}" for name in Stored._fields)}
        FROM files f CROSS JOIN LATERAL (SELECT {_FILE}) r
        WHERE f.id = %(id)s
          AND (CASE WHEN f.project_id IS NULL THEN f.owner_id = %(caller)s ELSE {visible("f.project_id")} END
               OR {attached("f")} OR {courses.in_lesson("f")})"""
    row = (
        session.connection()
        .exec_driver_sql(statement, {"id": file_id, **rights(caller), **courses.rights(caller)})
        .one_or_none()
    )
    if row is None:
        raise NotFound
    body, version, *stored = row
    return Found(Versioned(body.encode(), version), Stored(*stored))
