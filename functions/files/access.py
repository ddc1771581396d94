"""Who may do what with files and folders. What the caller may not see does not exist."""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from quintet.db.models.files import File, Folder
from quintet.db.models.projects import Project, ProjectMember
from quintet.errors import BadRequest, NotFound
from quintet.identity.membership import require_role
from quintet.identity.principal import Principal


class Place(NamedTuple):
    """Where a file goes; and, of the same statement, an id for a new one and what the caller has under way."""

    new_id: UUID
    pending: int
    pending_size: int
    project_id: UUID | None
    folder_id: UUID | None


def locked_file(session: Session, caller: Principal, file_id: UUID, *, at_least: str, owner_may: bool = False) -> File:
    """The file, locked. One without a project is its owner's alone; else the project's role decides.

    `owner_may`: who uploaded the file may do it too, while they can see it.
    """
    return _allowed(session, caller, _with_role(caller, file_id).with_for_update(of=File), at_least, owner_may)


def seen_file(session: Session, caller: Principal, file_id: UUID, *, at_least: str) -> File:
    """The file as it is now, not locked."""
    return _allowed(session, caller, _with_role(caller, file_id), at_least, False)


def place_for(
    session: Session, caller: Principal, *, project_id: UUID | None, folder_id: UUID | None, within: str = "/"
) -> Place:
    """Check that the caller may put files there; a folder alone names its project too.

    Neither project nor folder goes away before the transaction ends. `within` is the pointer that errors start with.
    """
    under_way = (File.owner_id == caller.user_id, File.status == "pending")
    new = (
        func.uuidv7(),
        select(func.count()).where(*under_way).scalar_subquery(),
        select(func.coalesce(func.sum(File.size), 0)).where(*under_way).scalar_subquery(),
    )
    if project_id is None and folder_id is None:
        return Place(*session.execute(select(*new)).one(), None, None)
    statement = (
        select(*new, Project.id, ProjectMember.role)
        .select_from(Project)
        .outerjoin(ProjectMember, (ProjectMember.project_id == Project.id) & (ProjectMember.user_id == caller.user_id))
    )
    locked: list[Any] = [Project]
    if project_id is not None:
        statement = statement.where(Project.id == project_id)
    if folder_id is not None:
        statement = statement.join(Folder, Folder.project_id == Project.id).where(Folder.id == folder_id)
        locked.append(Folder)
    row = session.execute(statement.with_for_update(read=True, key_share=True, of=locked)).one_or_none()
    wrong = BadRequest.at(
        f"{within}project_id" if folder_id is None else f"{within}folder_id",
        "There is no such place that you can see. A folder is one of the file's project.",
    )
    if row is None:
        raise wrong
    try:
        require_role(caller, row.role, at_least="editor")
    except NotFound:
        raise wrong from None
    return Place(row[0], row[1], row[2], row.id, folder_id)


def locked_project(session: Session, caller: Principal, project_id: UUID) -> None:
    """Check that the caller may change this project's folders, and let one at a time do so: no two make a cycle."""
    row = session.execute(
        select(ProjectMember.role)
        .select_from(Project)
        .outerjoin(ProjectMember, (ProjectMember.project_id == Project.id) & (ProjectMember.user_id == caller.user_id))
        .where(Project.id == project_id)
        .with_for_update(key_share=True, of=Project)
    ).one_or_none()
    try:
        if row is None:
            raise NotFound
        require_role(caller, row.role, at_least="editor")
    except NotFound:
        raise BadRequest.at("/project_id", "There is no project with this id that you can see.") from None


def _with_role(caller: Principal, file_id: UUID) -> Select[File, str]:
    return (
        select(File, ProjectMember.role)
        .outerjoin(
            ProjectMember,
            (ProjectMember.project_id == File.project_id) & (ProjectMember.user_id == caller.user_id),
        )
        .where(File.id == file_id)
    )


def _allowed(session: Session, caller: Principal, statement: Select[File, str], at_least: str, owner_may: bool) -> File:
    row = session.execute(statement).one_or_none()
    if row is None:
        raise NotFound
    file, role = row
    own = file.owner_id == caller.user_id
    if file.project_id is None:
        if not own:
            raise NotFound
    else:
        require_role(caller, role, at_least="viewer" if own and owner_may else at_least)
    return file
