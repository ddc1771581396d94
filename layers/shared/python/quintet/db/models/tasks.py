"""Tasks of projects."""

import datetime as dt
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Label, Text, UniqueConstraint, literal_column, text
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, Changing, Id, one_of, references, searched
from quintet.db.models.projects import Project

TaskStatus = Literal["todo", "in_progress", "blocked", "done"]
TaskPriority = Literal["low", "normal", "high", "urgent"]

MAX_POSITION = 500
"""Characters of a position. It takes some three thousand moves, each between what two moves before put side by side,
to need more."""

_DUE_ORDER: Label[dt.date] = literal_column("coalesce(due_date, 'infinity'::date)").label("due_order")
"""Sorts what has no due date last."""


class Task(Changing, Base):
    """Something to be done in a project.

    `position` is a fractional key: text that sorts by its bytes, with room for another between any two. So a move
    writes one row, and no other task is touched. Those who place tasks of one project take turns (they lock the
    project, FOR NO KEY UPDATE), so that no two choose the same key; other changes wait for none of that.

    Whoever changes tasks locks their projects first (FOR KEY SHARE at least), then the tasks, each in the order of
    their ids: nobody waits in a circle, and a project that is archived, or loses a member, is not written to meanwhile.
    """

    __tablename__ = "tasks"
    __table_args__ = (
        one_of("status", *get_args(TaskStatus)),
        one_of("priority", *get_args(TaskPriority)),
        CheckConstraint(f"length(position) <= {MAX_POSITION}", name="position"),
        UniqueConstraint("project_id", "position"),
        # A project's tasks: a column of the board, somebody's, newest first, by due date.
        Index("ix_tasks_project_id_status_position", "project_id", "status", "position"),
        Index("ix_tasks_project_id_assignee_id_position", "project_id", "assignee_id", "position"),
        Index("ix_tasks_project_id_id", "project_id", "id"),
        Index("ix_tasks_project_id_due_order_id", "project_id", _DUE_ORDER, "id"),
        # Somebody's tasks wherever they are.
        Index("ix_tasks_assignee_id_id", "assignee_id", "id"),
        Index("ix_tasks_assignee_id_due_order_id", "assignee_id", _DUE_ORDER, "id"),
        # Everybody's, by due date.
        Index("ix_tasks_due_order_id", _DUE_ORDER, "id"),
        Index("ix_tasks_search", "search", postgresql_using="gin"),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = references(Project.id, ondelete="CASCADE", index=False)
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default=text("''"))
    status: Mapped[TaskStatus] = mapped_column(Text, server_default=text("'todo'"))
    priority: Mapped[TaskPriority] = mapped_column(Text, server_default=text("'normal'"))
    assignee_id: Mapped[UUID | None] = references(User.id, ondelete="SET NULL", index=False)
    due_date: Mapped[dt.date | None]
    position: Mapped[str] = mapped_column(Text(collation="C"))
    created_by: Mapped[UUID] = references(User.id, ondelete="RESTRICT")
    search: Mapped[str] = searched("setweight(words_of(title), 'A') || setweight(words_of(description), 'B')")
