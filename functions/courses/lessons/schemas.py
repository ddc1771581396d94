"""Bodies of lessons."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from quintet.db.models.courses import MAX_LESSONS
from quintet.http.schemas import Input, Number, Output, Timestamp, Update, text

Title = Annotated[str, text(200, min_length=1)]
Content = Annotated[str, text(50_000)]
Position = Annotated[int, Field(ge=1, le=MAX_LESSONS), Number]

_FILE = Field(None, description="A file of your own, in no project, that is ready.")
_ALIASES = {"title": ("name",), "file_id": ("fileId",)}


class LessonCreate(Input):
    """A new lesson, by default the last."""

    aliases: ClassVar = _ALIASES

    title: Title
    content: Content = ""
    file_id: UUID | None = _FILE
    position: Position | None = Field(None, description="Counted from 1; those from there on move down.")


class LessonUpdate(Update):
    """The fields to change. `position` moves the lesson; one past the end is the end."""

    aliases: ClassVar = _ALIASES

    title: Title = ""
    content: Content = ""
    file_id: UUID | None = _FILE
    position: Position = 1


class LessonListed(Output):
    """A lesson without its content."""

    id: UUID
    course_id: UUID
    position: int
    title: str
    file_id: UUID | None
    completed_at: Timestamp | None = Field(description="When the caller was done with it.")
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class LessonRead(LessonListed):
    """A lesson."""

    content: str
