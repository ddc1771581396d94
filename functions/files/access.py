"""Who may do what with files and folders. What the caller may not see does not exist."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from quintet.db.models.files import File, Folder
from quintet.db.models.projects import Project, ProjectMember
from quintet.errors import BadRequest, NotFound
from quintet.identity.membership import require_role, with_role
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
    return _allowed(session, caller, _with_role(caller, file_id, locked=True), at_least, owner_may)


def seen_file(session: Session, caller: Principal, file_id: UUID, *, at_least: str) -> File:
    """The file as it is now, not locked."""
    return _allowed(session, caller, _with_role(caller, file_id, locked=False), at_least, False)


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
    statement = with_role(select(*new, Project.id).select_from(Project), caller, read=True, key_share=True)
    if project_id is not None:
        statement = statement.where(Project.id == project_id)
    if folder_id is not None:
        statement = statement.join(Folder, Folder.project_id == Project.id).where(Folder.id == folder_id)
        statement = statement.suffix_with(text("FOR KEY SHARE OF folders"))
    row = session.execute(statement).one_or_none()
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
    project = with_role(select(Project.id).where(Project.id == project_id), caller, key_share=True)
    row = session.execute(project).one_or_none()
    try:
        if row is None:
            raise NotFound
        require_role(caller, row.role, at_least="editor")
    except NotFound:
        raise BadRequest.at("/project_id", "There is no project with this id that you can see.") from None


def _with_role(caller: Principal, file_id: UUID, *, locked: bool) -> Select[File, str]:
    mine = (ProjectMember.project_id == File.project_id, ProjectMember.user_id == caller.user_id)
    role = select(ProjectMember.role).where(*mine)
    if locked:  # so that who is removed or demoted meanwhile changes nothing
        role = role.with_for_update(read=True)
    found = select(File, role.scalar_subquery()).where(File.id == file_id)
    return found.with_for_update(of=File) if locked else found


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
