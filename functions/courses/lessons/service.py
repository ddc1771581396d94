"""The rules of lessons: their order, their files, and when somebody is done with all of them."""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from functions.courses.access import locked_course, own_course, require_open
from functions.courses.lessons import queries
from functions.courses.lessons.schemas import LessonCreate, LessonUpdate
from quintet.db.models.courses import MAX_LESSONS, Course, Enrollment, Lesson, LessonProgress
from quintet.db.models.files import File
from quintet.errors import BadRequest, Conflict, Forbidden, NotFound
from quintet.events.record import Happening, record, record_all, scope_of
from quintet.events.types import EventType
from quintet.identity.principal import Principal


def create_lesson(session: Session, caller: Principal, *, course_id: UUID, new: LessonCreate) -> UUID:
    """A lesson of a course of the caller's; its id."""
    course = _changeable(session, caller, course_id)
    count = _count(session, course_id)
    if count >= MAX_LESSONS:
        raise Conflict(f"A course has {MAX_LESSONS} lessons at most.")
    _require_file(session, caller, new.file_id)
    position = min(new.position or MAX_LESSONS, count + 1)
    queries.shift(session, course_id, first=position, last=count, by=1)
    lesson = Lesson(**new.model_dump(exclude={"position"}), course_id=course_id, position=position)
    session.add(lesson)
    session.flush()
    _record(session, EventType.LESSON_CREATED, lesson.id, course)
    return lesson.id


def update_lesson(
    session: Session,
    caller: Principal,
    *,
    course_id: UUID,
    lesson_id: UUID,
    change: LessonUpdate,
    expected: frozenset[int] | None,
) -> None:
    """Change the fields sent, and move the lesson if its position is one of them."""
    course = _changeable(session, caller, course_id)
    lesson = _lesson(session, course_id, lesson_id)
    lesson.require_version(expected)
    changes = change.changes()
    if changes.get("file_id") != lesson.file_id:
        _require_file(session, caller, changes.get("file_id"))
    if "position" in changes:
        old, new = lesson.position, min(changes["position"], _count(session, course_id))
        changes["position"] = new
        first, last, by = (new, old, 1) if new < old else (old, new, -1)
        if new != old:
            queries.shift(session, course_id, first=first, last=last, by=by, moved=lesson_id)
    if fields := lesson.apply(changes):
        _record(session, EventType.LESSON_UPDATED, lesson_id, course, fields=fields)


def remove_lesson(
    session: Session, caller: Principal, *, course_id: UUID, lesson_id: UUID, expected: frozenset[int] | None
) -> None:
    """Remove for good. Those who are done with all the others have completed the course."""
    course = _changeable(session, caller, course_id, removal=True)
    lesson = _lesson(session, course_id, lesson_id)
    lesson.require_version(expected)
    session.delete(lesson)
    _record(session, EventType.LESSON_REMOVED, lesson_id, course)
    queries.shift(session, course_id, first=lesson.position, last=MAX_LESSONS, by=-1)
    _finish(session, course_id)


def complete_lesson(session: Session, caller: Principal, *, course_id: UUID, lesson_id: UUID) -> None:
    """Note that the caller is done with a lesson; with the last one they have completed the course. Repeatable."""
    enrollment_id = _progressing(session, caller, course_id, lesson_id)
    statement = insert(LessonProgress).values(enrollment_id=enrollment_id, lesson_id=lesson_id)
    if session.scalar(statement.on_conflict_do_nothing().returning(LessonProgress.lesson_id)):
        _record_own(session, EventType.LESSON_COMPLETED, lesson_id, course_id, caller)
        _finish(session, course_id, caller.user_id)


def reopen_lesson(session: Session, caller: Principal, *, course_id: UUID, lesson_id: UUID) -> None:
    """Note that the caller is not done with a lesson; a course they have completed stays completed. Repeatable."""
    enrollment_id = _progressing(session, caller, course_id, lesson_id)
    statement = delete(LessonProgress).where(
        LessonProgress.enrollment_id == enrollment_id, LessonProgress.lesson_id == lesson_id
    )
    if session.scalar(statement.returning(LessonProgress.lesson_id)):
        _record_own(session, EventType.LESSON_REOPENED, lesson_id, course_id, caller)


def _changeable(session: Session, caller: Principal, course_id: UUID, *, removal: bool = False) -> Course:
    course = own_course(session, caller, course_id, removal=removal)
    require_open(course)
    return course


def _lesson(session: Session, course_id: UUID, lesson_id: UUID) -> Lesson:
    lesson = session.scalar(select(Lesson).where(Lesson.id == lesson_id, Lesson.course_id == course_id))
    if lesson is None:
        raise NotFound
    return lesson


def _count(session: Session, course_id: UUID) -> int:
    return session.scalars(select(func.count()).where(Lesson.course_id == course_id)).one()


def _require_file(session: Session, caller: Principal, file_id: UUID | None) -> None:
    """400 unless it is a file the caller can let others have. One of a project would get round its roles."""
    own = exists().where(
        File.id == file_id, File.owner_id == caller.user_id, File.project_id.is_(None), File.status == "ready"
    )
    if file_id is not None and not session.scalar(select(own)):
        raise BadRequest.at("/file_id", "Send a file of your own, in no project, that is ready.")


def _progressing(session: Session, caller: Principal, course_id: UUID, lesson_id: UUID) -> UUID:
    """The caller's enrollment, locked after the course, whose lessons stay until the commit."""
    course = locked_course(session, caller, course_id, progress=True)
    row = session.execute(
        select(Enrollment.id, Enrollment.status)
        .where(Enrollment.course_id == course_id, Enrollment.user_id == caller.user_id)
        .with_for_update()
    ).one_or_none()
    if row is None or row.status == "waitlisted":
        raise Forbidden(
            "Lessons are for who has a seat in the course.",
            next={"rel": "enroll", "href": f"/courses/{course_id}/enroll"},
        )
    require_open(course)
    _lesson(session, course_id, lesson_id)
    enrollment_id: UUID = row.id
    return enrollment_id


def _finish(session: Session, course_id: UUID, user_id: UUID | None = None) -> None:
    scope = scope_of("course", course_id)
    record_all(
        session,
        [
            Happening(
                EventType.ENROLLMENT_COMPLETED,
                row.id,
                scope,
                {"course_id": str(course_id), "user_id": str(row.user_id)},
            )
            for row in queries.finish(session, course_id, user_id)
        ],
    )


def _record(session: Session, type: EventType, lesson_id: UUID, course: Course, **data: Any) -> None:
    data = {"course_id": str(course.id), **data}
    record(session, type, subject=lesson_id, scope=scope_of("course", course.id), data=data)


def _record_own(session: Session, type: EventType, lesson_id: UUID, course_id: UUID, caller: Principal) -> None:
    scope = scope_of("user", caller.user_id)
    record(session, type, subject=lesson_id, scope=scope, data={"course_id": str(course_id)})
