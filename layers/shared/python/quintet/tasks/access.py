"""Who may do what with tasks, and the locks they do it under. What the caller may not see does not exist."""

from collections.abc import Collection, Sequence, Set
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from quintet.db.models.projects import Project, ProjectMember, ProjectStatus
from quintet.db.models.tasks import Task
from quintet.errors import BadRequest, Conflict, FieldError, Forbidden, NotFound, Problem
from quintet.identity.membership import require_role, with_role
from quintet.identity.principal import Principal

OF_ASSIGNEE = frozenset({"status"})
"""What the assignee of a task may change of it, whatever their role in the project is."""


class _Held(NamedTuple):
    """A task, locked; the caller's role in its project, and that project's status."""

    task: Task
    role: str | None
    project_status: ProjectStatus


def locked_project(session: Session, caller: Principal, project_id: UUID) -> None:
    """Check that the caller may add tasks to the project, and let one at a time do so; 400 when they cannot see it."""
    row = session.execute(_places(caller, moves=True).where(Project.id == project_id)).one_or_none()
    try:
        if row is None:
            raise NotFound
        require_role(caller, row.role, at_least="editor")
    except NotFound:
        raise BadRequest.at("/project_id", "There is no project with this id that you can see.") from None
    _require_open(row.status, project_id)


def locked_task(session: Session, caller: Principal, task_id: UUID, *, fields: Collection[str], moves: bool) -> Task:
    """The task, locked, when the caller may change these fields; 404, 403 or 409 when not.

    `moves`: nobody else places a task in its project before the transaction ends.
    """
    held = _locked(session, caller, [task_id], moves=moves)
    return _permitted(caller, held.get(task_id), fields)


def locked_tasks(session: Session, caller: Principal, ids: Sequence[UUID], *, fields: Collection[str]) -> list[Task]:
    """The tasks, locked, each once in the order of `ids`, when the caller may change these fields of each.

    Else what is the matter with any of them: 404 before 403 before 409, with each one's place in `ids`.
    """
    held = _locked(session, caller, ids, moves=False)
    tasks, refused = {}, []
    for n, task_id in enumerate(ids):
        try:
            tasks[task_id] = _permitted(caller, held.get(task_id), fields)
        except Problem as problem:
            refused.append((n, problem))
    if refused:
        status = min((problem.status for _, problem in refused), key=_GRAVEST.index)
        alike = [(n, problem) for n, problem in refused if problem.status == status]
        errors = [FieldError(f"/ids/{n}", problem.detail) for n, problem in alike]
        raise type(alike[0][1])("Nothing was changed: not all of the tasks can be.", errors=errors)
    return list(tasks.values())


_GRAVEST = (NotFound.status, Forbidden.status, Conflict.status)


def require_members(session: Session, project_ids: Set[UUID], user_id: UUID, *, pointer: str) -> None:
    """400 unless the account is a member of each of the projects, which are locked, so that it stays one."""
    members = select(func.count()).where(ProjectMember.project_id.in_(project_ids), ProjectMember.user_id == user_id)
    if session.scalar(members) != len(project_ids):
        raise BadRequest.at(pointer, "Tasks are assigned to members of their project, and this account is none.")


def _places(caller: Principal, *, moves: bool) -> Select[*tuple[Any, ...]]:
    """Projects as this kind of change locks them: id, status and what the caller is there."""
    return with_role(select(Project.id, Project.status), caller, key_share=True, read=not moves)


def _locked(session: Session, caller: Principal, ids: Sequence[UUID], *, moves: bool) -> dict[UUID, _Held]:
    """Those of the tasks that are there. Projects are locked before tasks, each in order: see `Task`."""
    places = (
        _places(caller, moves=moves)
        .where(Project.id.in_(select(Task.project_id).where(Task.id.in_(ids))))
        .order_by(Project.id)
        .cte("places")
    )
    held = session.execute(
        select(Task, places.c.role, places.c.status)
        .join(places, places.c.id == Task.project_id)
        .where(Task.id.in_(ids))
        .order_by(Task.id)
        .with_for_update(of=Task)
    )
    return {row.Task.id: _Held(*row) for row in held}


def _permitted(caller: Principal, held: _Held | None, fields: Collection[str]) -> Task:
    if held is None:
        raise NotFound
    task, role, project_status = held
    own = task.assignee_id == caller.user_id and OF_ASSIGNEE.issuperset(fields)
    require_role(caller, role, at_least="viewer" if own else "editor")
    _require_open(project_status, task.project_id)
    return task


def _require_open(status: ProjectStatus, project_id: UUID) -> None:
    if status == "archived":
        raise Conflict(
            "The project is archived, so its tasks can only be read.",
            next={"rel": "project", "href": f"/projects/{project_id}"},
        )
