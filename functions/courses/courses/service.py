"""The rules of courses."""

from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Session

from functions.courses.access import locked_course, own_course
from functions.courses.courses.schemas import CourseCreate, CourseUpdate
from quintet.db.models.courses import Course
from quintet.events.courses import move_up
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal

_BECAME = {"published": EventType.COURSE_PUBLISHED, "archived": EventType.COURSE_ARCHIVED}


def create_course(session: Session, caller: Principal, *, new: CourseCreate) -> UUID:
    """A course of the caller's own; its id."""
    caller.require(Permission.COURSES_CREATE)
    course = Course(**new.model_dump(), created_by=caller.user_id)
    session.add(course)
    session.flush()
    _record(session, EventType.COURSE_CREATED, course, status=course.status)
    return course.id


def update_course(
    session: Session, caller: Principal, *, course_id: UUID, change: CourseUpdate, expected: frozenset[int] | None
) -> None:
    """Change the fields sent; publishing and archiving are events of their own.

    More seats go to those who wait. With fewer nobody loses theirs.
    """
    course = own_course(session, caller, course_id)
    course.require_version(expected)
    fields = course.apply(change.changes())
    grows = not {"status", "capacity"}.isdisjoint(fields)
    if "status" in fields:
        course.archived_at = func.now() if course.status == "archived" else None
        if became := _BECAME.get(course.status):
            fields.remove("status")
            _record(session, became, course)
    if fields:
        _record(session, EventType.COURSE_UPDATED, course, fields=fields)
    if grows:
        move_up(session, course_id)


def archive_course(session: Session, caller: Principal, *, course_id: UUID, expected: frozenset[int] | None) -> None:
    """Archive. Repeatable."""
    update_course(session, caller, course_id=course_id, change=CourseUpdate(status="archived"), expected=expected)


def purge_course(session: Session, caller: Principal, *, course_id: UUID, expected: frozenset[int] | None) -> None:
    """Delete for good, with its lessons, enrollments and progress; for administrators."""
    course = locked_course(session, caller, course_id)
    caller.require(Permission.COURSES_PURGE)
    course.require_version(expected)
    session.delete(course)
    _record(session, EventType.COURSE_PURGED, course)


def _record(session: Session, type: EventType, course: Course, **data: Any) -> None:
    record(session, type, subject=course.id, scope=scope_of("course", course.id), data=data)
