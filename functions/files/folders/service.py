"""The rules of folders."""

from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from functions.files.access import locked_project
from functions.files.folders.schemas import FolderCreate, FolderUpdate
from quintet.db.models.files import File, Folder
from quintet.db.models.projects import Project, ProjectMember
from quintet.errors import BadRequest, Conflict, NotFound
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.membership import require_role
from quintet.identity.principal import Principal


def create_folder(session: Session, caller: Principal, *, new: FolderCreate) -> Folder:
    """A folder in a project; for its editors."""
    locked_project(session, caller, new.project_id)
    if new.parent_id is not None:
        _check_parent(session, new.project_id, new.parent_id)
    folder = Folder(**new.model_dump())
    session.add(folder)
    session.flush()
    _record(session, EventType.FOLDER_CREATED, folder)
    return folder


def update_folder(
    session: Session, caller: Principal, *, folder_id: UUID, change: FolderUpdate, expected: frozenset[int] | None
) -> Folder:
    """Rename, or move within the project; for editors."""
    folder = _locked(session, caller, folder_id)
    folder.require_version(expected)
    changes = change.changes()
    if (parent_id := changes.get("parent_id")) is not None:
        _check_parent(session, folder.project_id, parent_id, moved=folder.id)
    if changed := folder.apply(changes):
        _record(session, EventType.FOLDER_UPDATED, folder, fields=changed)
    return folder


def delete_folder(session: Session, caller: Principal, *, folder_id: UUID, expected: frozenset[int] | None) -> None:
    """Delete an empty folder; for editors."""
    folder = _locked(session, caller, folder_id)
    folder.require_version(expected)
    session.execute(select(Folder.id).where(Folder.id == folder_id).with_for_update())  # waits for what is coming in
    has_files, has_folders = session.execute(
        select(exists().where(File.folder_id == folder_id), exists().where(Folder.parent_id == folder_id))
    ).one()
    if has_files:
        raise Conflict(
            "The folder has files in it. Delete them or move them elsewhere first.",
            next={"rel": "files", "href": f"/files?folder_id={folder_id}"},
        )
    if has_folders:
        raise Conflict(
            "The folder has folders in it. Delete them or move them elsewhere first.",
            next={"rel": "folders", "href": f"/folders?project_id={folder.project_id}&parent_id={folder_id}"},
        )
    session.delete(folder)
    _record(session, EventType.FOLDER_REMOVED, folder)


def _locked(session: Session, caller: Principal, folder_id: UUID) -> Folder:
    """The folder, locked together with its project's other folders, if the caller is an editor there."""
    row = session.execute(
        select(Folder, ProjectMember.role)
        .join(Project, Project.id == Folder.project_id)
        .outerjoin(ProjectMember, (ProjectMember.project_id == Project.id) & (ProjectMember.user_id == caller.user_id))
        .where(Folder.id == folder_id)
        .with_for_update(key_share=True, of=[Project, Folder])
    ).one_or_none()
    if row is None:
        raise NotFound
    folder, role = row
    require_role(caller, role, at_least="editor")
    return folder


def _check_parent(session: Session, project_id: UUID, parent_id: UUID, *, moved: UUID | None = None) -> None:
    """400 unless the parent is in the project, and not the moved folder or inside of it."""
    above = select(Folder.id, Folder.parent_id).where(Folder.id == parent_id, Folder.project_id == project_id)
    chain = above.cte(recursive=True)
    chain = chain.union(select(Folder.id, Folder.parent_id).where(Folder.id == chain.c.parent_id))
    ids = set(session.scalars(select(chain.c.id)))
    if not ids:
        raise BadRequest.at("/parent_id", "There is no folder with this id in the project.")
    if moved in ids:
        raise BadRequest.at("/parent_id", "A folder cannot be moved into itself or into a folder inside of it.")


def _record(session: Session, type: EventType, folder: Folder, **data: object) -> None:
    record(session, type, subject=folder.id, scope=scope_of("project", folder.project_id), data=data)
