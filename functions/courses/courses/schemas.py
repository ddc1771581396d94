"""Bodies of courses."""

from typing import Annotated, ClassVar, Literal
from uuid import UUID

from pydantic import Field

from functions.courses.enrollments.schemas import EnrollmentRead
from quintet.db.models.courses import CourseStatus
from quintet.http.schemas import Input, Number, Output, Timestamp, Update, text

Title = Annotated[str, text(200, min_length=1)]
Description = Annotated[str, text(20_000)]
Capacity = Annotated[int, Field(ge=1, le=1_000_000), Number]

_CAPACITY = Field(None, description="How many seats there are; null: as many as want one.")
_ALIASES = {"title": ("name",)}


class CourseCreate(Input):
    """A new course; its creator owns it. A draft is nobody else's to see."""

    aliases: ClassVar = _ALIASES

    title: Title
    description: Description = ""
    status: Literal["draft", "published"] = "draft"
    capacity: Capacity | None = _CAPACITY


class CourseUpdate(Update):
    """The fields to change. A `status` other than archived brings an archived course back."""

    aliases: ClassVar = _ALIASES

    title: Title = ""
    description: Description = ""
    status: CourseStatus = "draft"
    capacity: Capacity | None = _CAPACITY


class CourseRead(Output):
    """A course."""

    id: UUID
    title: str
    description: str
    created_by: UUID
    status: CourseStatus
    capacity: int | None
    enrolled_count: int = Field(description="Who has a seat.")
    waitlist_count: int
    lesson_count: int
    enrollment: EnrollmentRead | None = Field(description="The caller's own.")
    archived_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    version: int
