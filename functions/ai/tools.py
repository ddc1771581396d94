"""What the assistant can propose to do. Nothing runs before its user has approved it, and then as that user.

An input comes from a model, which may have been talked into anything: it is judged here as if it came from a stranger,
and then by the same rules as a request of the user's own.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.orm import Session

from functions.ai import context
from functions.ai.providers import Tool
from quintet.db.models.tasks import TaskPriority
from quintet.errors import Problem
from quintet.http.schemas import Day, text
from quintet.identity.principal import Principal
from quintet.tasks.creating import create_task


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewTask(_Input):
    """Create a task in a project of the user's."""

    project_id: UUID
    title: Annotated[str, text(200, min_length=1)]
    description: Annotated[str, text(20_000)] = ""
    priority: TaskPriority = "normal"
    due_date: Day | None = Field(None, description="A day, as 2026-11-20.")


class ConversationToSummarise(_Input):
    """Read the latest messages of one of the user's conversations, to summarise them."""

    conversation_id: UUID


def _create_task(session: Session, caller: Principal, given: NewTask) -> dict[str, Any]:
    task = create_task(session, caller, **given.model_dump())
    return {"task_id": str(task.id), "project_id": str(task.project_id), "title": task.title}


def _summarise(session: Session, caller: Principal, given: ConversationToSummarise) -> str:
    return context.read_conversation(session, caller, given.conversation_id).text


@dataclass(frozen=True, slots=True)
class _Runs:
    """What a tool takes, and does."""

    takes: type[_Input]
    does: Callable[[Session, Principal, Any], Any]


_TOOLS = {
    "create_task": _Runs(NewTask, _create_task),
    "summarise_conversation": _Runs(ConversationToSummarise, _summarise),
}

TOOLS = tuple(Tool(name, runs.takes.__doc__ or "", runs.takes.model_json_schema()) for name, runs in _TOOLS.items())


class RefusedError(Exception):
    """The tool does not run; the text says why, to the user and the model."""


def checked(name: str, given: str) -> dict[str, Any]:
    """A tool's input as JSON, when there is such a tool and it takes this; RefusedError when not."""
    if name not in _TOOLS:
        raise RefusedError("There is no such tool.")
    try:
        checked = _TOOLS[name].takes.model_validate(json.loads(given or "{}"))
    except ValidationError as error:
        wrong = ", ".join(sorted({str(part["loc"][0]) if part["loc"] else "all of it" for part in error.errors()}))
        raise RefusedError(f"The input is not valid: {wrong}.") from None
    except (ValueError, RecursionError):
        raise RefusedError("The input is not JSON.") from None
    return checked.model_dump(mode="json", exclude_defaults=True)


def run(session: Session, caller: Principal, name: str, given: dict[str, Any]) -> Any:
    """Run a tool as the caller, whose rights are those of now; its output, as JSON. RefusedError leaves no trace."""
    runs = _TOOLS[name]
    try:
        with session.begin_nested():
            return runs.does(session, caller, runs.takes.model_validate(given))
    except Problem as problem:
        raise RefusedError(" ".join([problem.detail, *(error.detail for error in problem.errors)])) from None
