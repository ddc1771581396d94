"""The rules of projects: who may change what. What the caller may not see does not exist."""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from functions.projects.schemas import ProjectCreate, ProjectUpdate
from quintet.db.models.accounts import User
from quintet.db.models.files import File
from quintet.db.models.projects import MemberRole, Project, ProjectMember
from quintet.db.models.tasks import Task
from quintet.errors import BadRequest, Conflict, NotFound
from quintet.events.record import record, record_all, scope_of
from quintet.events.tasks import task_changed
from quintet.events.types import EventType
from quintet.identity.membership import require_role, with_role
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal


def create_project(session: Session, caller: Principal, *, new: ProjectCreate) -> Project:
    """A project of the caller's own."""
    caller.require(Permission.PROJECTS_CREATE)
    project = Project(**new.model_dump(), owner_id=caller.user_id)
    session.add(project)
    session.flush()
    session.add(ProjectMember(project_id=project.id, user_id=caller.user_id, role="owner"))
    _record(session, EventType.PROJECT_CREATED, project)
    return project


def update_project(
    session: Session, caller: Principal, *, project_id: UUID, change: ProjectUpdate, expected: frozenset[int] | None
) -> Project:
    """Change the fields sent; for editors, but archiving is for owners, and an event of its own."""
    changes = change.changes()
    archives = changes.get("status") == "archived"
    project = _locked(session, caller, project_id, at_least="owner" if archives else "editor")
    project.require_version(expected)
    fields = project.apply(changes)
    if "status" in fields:
        project.archived_at = func.now() if archives else None
    if archives and "status" in fields:
        fields.remove("status")
        _record(session, EventType.PROJECT_ARCHIVED, project)
    if fields:
        _record(session, EventType.PROJECT_UPDATED, project, fields=fields)
    return project


def archive_project(session: Session, caller: Principal, *, project_id: UUID, expected: frozenset[int] | None) -> None:
    """Archive; for owners. Repeatable."""
    update_project(session, caller, project_id=project_id, change=ProjectUpdate(status="archived"), expected=expected)


def purge_project(session: Session, caller: Principal, *, project_id: UUID, expected: frozenset[int] | None) -> None:
    """Delete for good; for administrators, and only without files, whose objects would be orphaned."""
    project = _locked(session, caller, project_id, at_least="viewer")
    caller.require(Permission.PROJECTS_PURGE)
    project.require_version(expected)
    if session.scalar(select(exists().where(File.project_id == project_id))):
        raise Conflict(
            "The project still has files. Delete them first.",
            next={"rel": "files", "href": f"/files?project_id={project_id}"},
        )
    session.delete(project)
    _record(session, EventType.PROJECT_PURGED, project)


def set_member(session: Session, caller: Principal, *, project_id: UUID, user_id: UUID, role: MemberRole) -> None:
    """Add a member or change what they may do; for owners. Repeatable."""
    project = _locked(session, caller, project_id, at_least="owner")
    if user_id == project.owner_id and role != "owner":
        raise Conflict("The project's owner stays one.")
    if not session.scalar(select(exists().where(User.id == user_id, User.status == "active"))):
        raise BadRequest.at("path/user_id", "There is no active account with this id.")
    statement = insert(ProjectMember).values(project_id=project_id, user_id=user_id, role=role)
    changed = session.scalar(
        statement.on_conflict_do_update(
            index_elements=["project_id", "user_id"],
            set_={"role": statement.excluded.role},
            where=ProjectMember.role != statement.excluded.role,
        ).returning(ProjectMember.user_id)
    )
    if changed:
        _record(session, EventType.PROJECT_MEMBER_SET, project, user_id=str(user_id), role=role)


def remove_member(session: Session, caller: Principal, *, project_id: UUID, user_id: UUID) -> None:
    """Take a member off; owners may take anybody, everybody may leave. The owner of the project stays."""
    at_least = "viewer" if user_id == caller.user_id else "owner"
    project = _locked(session, caller, project_id, at_least=at_least)
    if user_id == project.owner_id:
        raise Conflict("The project's owner cannot leave it. Archive the project instead.")
    removed = session.execute(
        delete(ProjectMember)
        .where(ProjectMember.project_id == project_id, ProjectMember.user_id == user_id)
        .returning(ProjectMember.user_id)
    ).one_or_none()
    if removed is None:
        raise NotFound("This account is not a member of the project.")
    _unassign_tasks(session, project_id, user_id)
    _record(session, EventType.PROJECT_MEMBER_REMOVED, project, user_id=str(user_id))


def _unassign_tasks(session: Session, project_id: UUID, user_id: UUID) -> None:
    """Nobody has this account's tasks in the project any more."""
    unassigned = session.scalars(
        update(Task)
        .where(Task.project_id == project_id, Task.assignee_id == user_id)
        .values(assignee_id=None, version=Task.version + 1, updated_at=func.now())
        .returning(Task.id),
        execution_options={"synchronize_session": False},
    )
    left = {"assignee_id": (user_id, None)}
    record_all(session, [event for task_id in unassigned for event in task_changed(task_id, project_id, None, left)])


def _locked(session: Session, caller: Principal, project_id: UUID, *, at_least: str) -> Project:
    """The project, locked, if the caller is at least that there; 404 when they may not even see it."""
    row = session.execute(with_role(select(Project), caller).where(Project.id == project_id)).one_or_none()
    if row is None:
        raise NotFound
    project: Project = row.Project
    require_role(caller, row.role, at_least=at_least)
    return project


def _record(session: Session, type: EventType, project: Project, **data: Any) -> None:
    record(session, type, subject=project.id, scope=scope_of("project", project.id), data=data)
