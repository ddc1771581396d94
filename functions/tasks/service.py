"""The rules of tasks."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from functions.tasks.access import locked_project, locked_task, locked_tasks, require_members
from functions.tasks.positions import between
from functions.tasks.schemas import TaskCreate, TasksUpdate, TaskUpdate
from quintet.db.models.tasks import MAX_POSITION, Task
from quintet.errors import BadRequest, Conflict
from quintet.events.record import record_all
from quintet.events.tasks import task_changed, task_created, task_removed
from quintet.identity.principal import Principal


def create_task(session: Session, caller: Principal, *, new: TaskCreate) -> Task:
    """A task in a project that the caller may edit."""
    locked_project(session, caller, new.project_id)
    if new.assignee_id:
        require_members(session, {new.project_id}, new.assignee_id, pointer="/assignee_id")
    fields = new.model_dump(exclude={"before", "after"})
    place = {name: getattr(new, name) for name in _PLACES & new.model_fields_set} or {"before": None}
    position = _position(session, new.project_id, place, moved=None)
    task = Task(**fields, position=position, created_by=caller.user_id)
    session.add(task)
    session.flush()
    record_all(session, task_created(task))
    return task


def update_task(
    session: Session, caller: Principal, *, task_id: UUID, change: TaskUpdate, expected: frozenset[int] | None
) -> Task:
    """Change the fields sent, and move the task if the change says where to."""
    changes = change.changes()
    place = {name: changes.pop(name) for name in _PLACES & changes.keys()}
    task = locked_task(session, caller, task_id, fields={*changes, *place}, moves=bool(place))
    task.require_version(expected)
    if changes.get("assignee_id"):
        require_members(session, {task.project_id}, changes["assignee_id"], pointer="/assignee_id")
    if place:
        changes["position"] = _position(session, task.project_id, place, moved=task)
    before = {name: getattr(task, name) for name in changes}
    differences = {name: (before[name], changes[name]) for name in task.apply(changes)}
    record_all(session, task_changed(task.id, task.project_id, task.assignee_id, differences))
    return task


def update_tasks(session: Session, caller: Principal, *, bulk: TasksUpdate) -> dict[str, list[dict[str, Any]]]:
    """Change the same fields of all these tasks, by one statement; what each version is then."""
    changes = bulk.change.changes()
    tasks = locked_tasks(session, caller, bulk.ids, fields=changes)
    if changes.get("assignee_id"):
        projects = {task.project_id for task in tasks}
        require_members(session, projects, changes["assignee_id"], pointer="/changes/assignee_id")
    differences = {
        task: {name: (getattr(task, name), new) for name, new in changes.items() if getattr(task, name) != new}
        for task in tasks
    }
    session.execute(
        update(Task)
        .where(Task.id.in_(task.id for task, fields in differences.items() if fields))
        .values(**changes, version=Task.version + 1, updated_at=func.now()),
        execution_options={"synchronize_session": False},
    )
    happened = [
        event
        for task, fields in differences.items()
        for event in task_changed(task.id, task.project_id, changes.get("assignee_id", task.assignee_id), fields)
    ]
    record_all(session, happened)
    return {"items": [{"id": task.id, "version": task.version + bool(differences[task])} for task in tasks]}


def remove_task(session: Session, caller: Principal, *, task_id: UUID, expected: frozenset[int] | None) -> None:
    """Remove for good."""
    task = locked_task(session, caller, task_id, fields={"id"}, moves=False)  # all of it, that is
    task.require_version(expected)
    session.delete(task)
    record_all(session, task_removed(task))


_PLACES = frozenset({"before", "after"})


def _position(session: Session, project_id: UUID, place: Mapping[str, UUID | None], *, moved: Task | None) -> str:
    """Where `{"before": id}` or `{"after": id}` is; None as id: the end, or the beginning.

    The project is to be locked. A task that is there already keeps its position.
    """
    [(side, beside)] = place.items()
    if moved is not None and beside == moved.id:
        return moved.position
    mine = Task.position
    nearest = select(mine).where(Task.project_id == project_id)
    nearest = nearest.order_by(mine.desc() if side == "before" else mine)
    if moved is not None:
        nearest = nearest.where(Task.id != moved.id)
    if beside is None:
        near: list[str | None] = [None, *session.scalars(nearest.limit(1))]
    else:
        its = select(mine).where(Task.project_id == project_id, Task.id == beside).scalar_subquery()
        near = list(session.scalars(nearest.where(mine <= its if side == "before" else mine >= its).limit(2)))
        if not near:
            raise BadRequest.at(f"/{side}", "There is no task with this id in the project.")
    this, beyond = (*near, None)[:2]
    low, high = (beyond, this) if side == "before" else (this, beyond)
    if moved is not None and (low or "") < moved.position and (high is None or moved.position < high):
        return moved.position
    position = between(low, high)
    if len(position) > MAX_POSITION:
        raise Conflict("There is no room left in this place. Move one of the tasks beside it away and back first.")
    return position
