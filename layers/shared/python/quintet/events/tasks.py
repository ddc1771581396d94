"""What is recorded of tasks: by whoever changes them, and when those who have them leave the project."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from quintet.db.models.tasks import Task
from quintet.events.record import Happening, scope_of
from quintet.events.types import EventType

_TOLD = ("status", "assignee_id", "due_date")
"""Of these an event says what they were and what they are; of other fields only that they changed."""


def task_created(task: Task) -> list[Happening]:
    """That there is a new task, and whose it is."""
    told = {name: _plain(getattr(task, name)) for name in _TOLD}
    return [
        _event(EventType.TASK_CREATED, task.id, task.project_id, **told),
        *_assigned(task.id, task.project_id, task.assignee_id),
    ]


def task_changed(
    task_id: UUID, project_id: UUID, assignee_id: UUID | None, differences: Mapping[str, tuple[Any, Any]]
) -> list[Happening]:
    """That these fields of a task became the second of their two values, and that it is now `assignee_id`'s."""
    if not differences:
        return []
    data = {
        "fields": sorted(differences),
        "changes": {name: [_plain(value) for value in differences[name]] for name in _TOLD if name in differences},
        "assignee_id": _plain(assignee_id),
    }
    given = assignee_id if "assignee_id" in differences else None
    return [_event(EventType.TASK_UPDATED, task_id, project_id, **data), *_assigned(task_id, project_id, given)]


def task_removed(task: Task) -> list[Happening]:
    """That a task is gone, and whose it was."""
    return [_event(EventType.TASK_REMOVED, task.id, task.project_id, assignee_id=_plain(task.assignee_id))]


def _assigned(task_id: UUID, project_id: UUID, assignee_id: UUID | None) -> list[Happening]:
    return [_event(EventType.TASK_ASSIGNED, task_id, project_id, assignee_id=str(assignee_id))] if assignee_id else []


def _event(type: EventType, task_id: UUID, project_id: UUID, **data: Any) -> Happening:
    return Happening(type, task_id, scope_of("project", project_id), data)


def _plain(value: Any) -> str | None:
    return None if value is None else str(value)
