"""The SQL of folders."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.files.folders.schemas import FolderRead
from functions.files.queries import PROJECT_VISIBLE, inside, rights, visible
from quintet.db.json import Versioned, columns_of, one, page
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_FOLDERS = f"SELECT {columns_of(FolderRead, 'd')} FROM folders d"

_OF_PROJECT = f"""{_FOLDERS}
    WHERE d.project_id = %(project_id)s AND d.id < %(before)s
      AND (%(parent_id)s::uuid IS NULL OR d.parent_id = %(parent_id)s) AND (NOT %(top)s OR d.parent_id IS NULL)"""


def list_folders(
    session: Session, caller: Principal, paging: PageRequest, *, project_id: UUID, parent_id: UUID | str | None
) -> bytes:
    """A page of a project's folders; of those in one folder, or at the top, when `parent_id` says so.

    404 when there is no such project that the caller may see.
    """
    params = {"project_id": project_id, **inside("parent_id", parent_id), **rights(caller)}
    return page(session, _OF_PROJECT, params, paging, visible=PROJECT_VISIBLE)


def read_folder(session: Session, caller: Principal, folder_id: UUID) -> Versioned:
    """One folder; 404 when there is none that the caller may see."""
    sql = f"{_FOLDERS} WHERE d.id = %(id)s AND {visible('d.project_id')}"
    return one(session, sql, {"id": folder_id, **rights(caller)})
