"""Bodies of enrollments."""

from typing import ClassVar, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from quintet.db.models.courses import EnrollmentStatus
from quintet.http.schemas import Input, KnownEmail, Output, Timestamp

MAX_PEOPLE = 200

Result = Literal["enrolled", "waitlisted", "already_enrolled", "unknown"]


class EnrollmentRead(Output):
    """That somebody takes a course, or waits for a seat in it, and how far they have come."""

    id: UUID
    course_id: UUID
    status: EnrollmentStatus
    waitlist_position: int | None = Field(description="1 is who moves up next; null for who has a seat.")
    lessons_completed: int
    lesson_count: int
    enrolled_at: Timestamp
    completed_at: Timestamp | None


class StudentRead(EnrollmentRead):
    """An enrollment, and whose it is."""

    user_id: UUID
    full_name: str


class PeopleEnroll(Input):
    """Who is to take the course: up to 200 people together, by their accounts or their addresses."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})
    aliases: ClassVar = {"user_ids": ("userIds",)}

    user_ids: list[UUID] = Field(default_factory=list, max_length=MAX_PEOPLE)
    emails: list[KnownEmail] = Field(default_factory=list, max_length=MAX_PEOPLE)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not 1 <= len(self.user_ids) + len(self.emails) <= MAX_PEOPLE:
            raise ValueError(f"name 1 to {MAX_PEOPLE} people, by both together")
        return self


class PersonEnrolled(Output):
    """What became of one person."""

    user_id: UUID | None = Field(description="Null when there is no active account.")
    email: str | None = Field(description="As it was sent, by those whom an address named.")
    result: Result
    status: EnrollmentStatus | None = Field(description="Where they stand now; who was enrolled before may be waiting.")


class PeopleEnrolled(Output):
    """What became of each, in the order of the request: first those by account, then those by address."""

    items: list[PersonEnrolled]
