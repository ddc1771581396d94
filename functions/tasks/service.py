"""The rules of tasks."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from functions.tasks.schemas import TaskCreate, TasksUpdate, TaskUpdate
from quintet.db.models.tasks import Task
from quintet.events.record import record_all
from quintet.events.tasks import task_changed, task_removed
from quintet.identity.principal import Principal
from quintet.tasks import creating
from quintet.tasks.access import locked_task, locked_tasks, require_members


def create_task(session: Session, caller: Principal, *, new: TaskCreate) -> Task:
    """A task in a project that the caller may edit."""
    place = {name: getattr(new, name) for name in _PLACES & new.model_fields_set}
    return creating.create_task(session, caller, place=place, **new.model_dump(exclude={*_PLACES}))


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
        changes["position"] = creating.position_at(session, task.project_id, place, moved=task)
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
