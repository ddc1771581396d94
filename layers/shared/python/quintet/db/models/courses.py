"""Courses, their lessons, who takes them and how far they have come."""

from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, Changing, CreatedAt, Id, one_of, references, searched
from quintet.db.models.files import File

CourseStatus = Literal["draft", "published", "archived"]
EnrollmentStatus = Literal["active", "waitlisted", "completed"]

MAX_LESSONS = 200


class Course(Changing, Base):
    """Something to be learnt.

    Whoever changes who takes part, or the lessons, locks the course first (FOR NO KEY UPDATE): its seats are given out
    one after the other, and its two counters, which no version counts, are always right.
    """

    __tablename__ = "courses"
    __table_args__ = (
        one_of("status", *get_args(CourseStatus)),
        CheckConstraint("capacity >= 1", name="capacity"),
        CheckConstraint("enrolled_count >= 0 AND waitlist_count >= 0", name="counts"),
        # The public list, somebody's own.
        Index("ix_courses_published", "id", postgresql_where=text("status = 'published'")),
        Index("ix_courses_created_by_id", "created_by", "id"),
        Index("ix_courses_search", "search", postgresql_using="gin"),
    )

    id: Mapped[Id]
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default=text("''"))
    created_by: Mapped[UUID] = references(User.id, ondelete="RESTRICT", index=False)
    status: Mapped[CourseStatus] = mapped_column(Text, server_default=text("'draft'"))
    capacity: Mapped[int | None]
    """Seats; None: as many as want one."""
    enrolled_count: Mapped[int] = mapped_column(server_default=text("0"))
    """Who has a seat: active and completed."""
    waitlist_count: Mapped[int] = mapped_column(server_default=text("0"))
    archived_at: Mapped[datetime | None]
    search: Mapped[str] = searched("setweight(words_of(title), 'A') || setweight(words_of(description), 'B')")


class Lesson(Changing, Base):
    """A part of a course. `position` counts from 1, without gaps."""

    __tablename__ = "lessons"
    __table_args__ = (
        CheckConstraint("position >= 1", name="position"),
        # At the commit: a move changes several.
        UniqueConstraint("course_id", "position", deferrable=True, initially="DEFERRED"),
    )

    id: Mapped[Id]
    course_id: Mapped[UUID] = references(Course.id, ondelete="CASCADE", index=False)
    position: Mapped[int]
    title: Mapped[str]
    content: Mapped[str] = mapped_column(server_default=text("''"))
    file_id: Mapped[UUID | None] = references(File.id, ondelete="SET NULL")


class Enrollment(Base):
    """That somebody takes a course, or waits for a seat in it.

    Made while the course is locked, so that the order of ids is that of arrival. Who leaves has none any more.
    """

    __tablename__ = "enrollments"
    __table_args__ = (
        one_of("status", *get_args(EnrollmentStatus)),
        CheckConstraint("(status = 'completed') = (completed_at IS NOT NULL)", name="completed_at"),
        UniqueConstraint("course_id", "user_id"),
        Index("ix_enrollments_user_id_course_id", "user_id", "course_id"),
        # A course's: all, and by status; the waitlist in its order.
        Index("ix_enrollments_course_id_id", "course_id", "id"),
        Index("ix_enrollments_course_id_status_id", "course_id", "status", "id"),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = references(User.id, ondelete="RESTRICT", index=False)
    course_id: Mapped[UUID] = references(Course.id, ondelete="CASCADE", index=False)
    status: Mapped[EnrollmentStatus] = mapped_column(Text)
    enrolled_at: Mapped[CreatedAt]
    """When they came, to a seat or to the waitlist."""
    completed_at: Mapped[datetime | None]


class LessonProgress(Base):
    """That somebody is done with a lesson."""

    __tablename__ = "lesson_progress"

    enrollment_id: Mapped[UUID] = references(Enrollment.id, ondelete="CASCADE", index=False, primary_key=True)
    lesson_id: Mapped[UUID] = references(Lesson.id, ondelete="CASCADE", primary_key=True)
    completed_at: Mapped[CreatedAt]
