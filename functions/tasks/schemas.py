"""Bodies of tasks."""

import datetime as dt
from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import Field, model_validator

from quintet.db.models.tasks import TaskPriority, TaskStatus
from quintet.http.schemas import Day, Input, Output, Timestamp, Update, text

MAX_BULK = 200

Title = Annotated[str, text(200, min_length=1)]
Description = Annotated[str, text(20_000)]

_ASSIGNEE = Field(None, description="A member of the project; null: nobody.")
_DUE = Field(None, description="A day, wherever the assignee lives.")
_BEFORE = Field(None, description="Place it before this task of the project; null: at the end.")
_AFTER = Field(None, description="Place it after this task of the project; null: at the beginning.")

_FIELDS = {"assignee_id": ("assigneeId",), "due_date": ("dueDate",)}
_ALIASES = {**_FIELDS, "title": ("name",)}


class _Placed(Input):
    """What says where a task goes, which is in one way."""

    before: UUID | None = _BEFORE
    after: UUID | None = _AFTER

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if {"before", "after"} <= self.model_fields_set:
            raise ValueError("send `before` or `after`, not both")
        return self


class TaskCreate(_Placed):
    """A new task, by default at the end of its project's."""

    aliases: ClassVar = {**_ALIASES, "project_id": ("projectId",)}

    project_id: UUID
    title: Title
    description: Description = ""
    status: TaskStatus = "todo"
    priority: TaskPriority = "normal"
    assignee_id: UUID | None = _ASSIGNEE
    due_date: Day | None = _DUE


class TaskUpdate(_Placed, Update):
    """The fields to change. `before` or `after` moves the task within its project."""

    aliases: ClassVar = _ALIASES

    title: Title = ""
    description: Description = ""
    status: TaskStatus = "todo"
    priority: TaskPriority = "normal"
    assignee_id: UUID | None = _ASSIGNEE
    due_date: Day | None = _DUE


class TaskChanges(Update):
    """The fields to change in each of several tasks."""

    aliases: ClassVar = _FIELDS

    status: TaskStatus = "todo"
    priority: TaskPriority = "normal"
    assignee_id: UUID | None = _ASSIGNEE
    due_date: Day | None = _DUE


class TasksUpdate(Input):
    """One change of several tasks: all of them, or none."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_BULK)]
    change: TaskChanges = Field(alias="changes")


class TaskVersion(Output):
    """A task, and the version it is in now."""

    id: UUID
    version: int


class TasksUpdated(Output):
    """The tasks that were named, in that order."""

    items: list[TaskVersion]


class TaskRead(Output):
    """A task."""

    id: UUID
    project_id: UUID
    title: str
    description: str
    status: TaskStatus
    priority: TaskPriority
    assignee_id: UUID | None
    due_date: dt.date | None
    position: str = Field(description="Where it stands in its project: sorts as ASCII text does.")
    created_by: UUID
    created_at: Timestamp
    updated_at: Timestamp
    version: int
