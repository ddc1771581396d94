"""The SQL of lessons."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from functions.courses.access import refusal
from functions.courses.lessons.schemas import LessonListed, LessonRead
from quintet.db.json import Versioned, columns_of, timestamp
from quintet.db.reads import rows
from quintet.errors import Forbidden, NotFound, Problem
from quintet.identity.courses import rights, studied
from quintet.identity.principal import Principal
from quintet.pagination import page_bytes

_LESSONS = """
    FROM lessons l LEFT JOIN lesson_progress p ON p.lesson_id = l.id AND p.enrollment_id = (
        SELECT id FROM enrollments WHERE course_id = %(course_id)s AND user_id = %(caller)s)
    WHERE l.course_id = %(course_id)s"""
_DONE = timestamp("p.completed_at")
_MAY_READ = f"EXISTS (SELECT FROM courses c WHERE c.id = %(course_id)s AND {studied('c')})"

_ALL = f"""
    SELECT l.item FROM (SELECT WHERE {_MAY_READ}) visible LEFT JOIN (
        SELECT row_to_json(r)::text AS item, r.position
        FROM (SELECT {columns_of(LessonListed, "l", completed_at=_DONE)} {_LESSONS}) r) l ON true
    ORDER BY l.position"""
_ONE = f"""
    SELECT row_to_json(r)::text AS body, r.version, left(md5(concat_ws(' ', r.file_id, r.completed_at)), 16) AS variant
    FROM (SELECT {columns_of(LessonRead, "l", completed_at=_DONE)} {_LESSONS} AND l.id = %(id)s AND {_MAY_READ}) r"""

_SHIFT = """
    UPDATE lessons SET position = position + %(by)s, version = version + 1, updated_at = now()
    WHERE course_id = %(course_id)s AND position BETWEEN %(first)s AND %(last)s AND id IS DISTINCT FROM %(moved)s"""

_FINISH = """
    UPDATE enrollments e SET status = 'completed', completed_at = clock_timestamp()
    FROM (SELECT c.created_by, (SELECT count(*) FROM lessons WHERE course_id = c.id) AS n
          FROM courses c WHERE c.id = %(course_id)s) its
    WHERE e.course_id = %(course_id)s AND e.status = 'active' AND its.n > 0
      AND (%(user_id)s::uuid IS NULL OR e.user_id = %(user_id)s)
      AND its.n = (SELECT count(*) FROM lesson_progress p WHERE p.enrollment_id = e.id)
    RETURNING e.id, e.user_id, its.created_by"""


def list_lessons(session: Session, caller: Principal, course_id: UUID) -> bytes:
    """All lessons of a course in their order, without content; for whom `read_lesson` is."""
    found = rows(session, _ALL, {"course_id": course_id, **rights(caller)})
    if not found:
        raise _refusal(session, caller, course_id)
    return page_bytes(",".join(row.item for row in found if row.item), None)


def read_lesson(session: Session, caller: Principal, course_id: UUID, lesson_id: UUID) -> tuple[Versioned, str]:
    """One lesson, and a word that changes with what is not in its row; for who has a seat in the course, or owns it.

    403 for others who may see the course.
    """
    found = rows(session, _ONE, {"course_id": course_id, "id": lesson_id, **rights(caller)})
    if not found:
        may_read = rows(session, f"SELECT WHERE {_MAY_READ}", {"course_id": course_id, **rights(caller)})
        raise NotFound if may_read else _refusal(session, caller, course_id)
    [(body, version, variant)] = found
    return Versioned(body.encode(), version), variant


def shift(session: Session, course_id: UUID, *, first: int, last: int, by: int, moved: UUID | None = None) -> None:
    """Move the lessons from position `first` to `last`, but for the one that is `moved`, by so many places."""
    params = {"course_id": course_id, "first": first, "last": last, "by": by, "moved": moved}
    session.connection().exec_driver_sql(_SHIFT, params)


def finish(session: Session, course_id: UUID, user_id: UUID | None = None) -> list[Any]:
    """Complete the enrollments, or this account's, of those who are done with every lesson: their `id`, `user_id`,
    and `created_by` of the course.
    """
    return rows(session, _FINISH, {"course_id": course_id, "user_id": user_id})


def _refusal(session: Session, caller: Principal, course_id: UUID) -> Problem:
    enroll = {"rel": "enroll", "href": f"/courses/{course_id}/enroll"}
    return refusal(session, caller, course_id, Forbidden("Lessons are for who has a seat in the course.", next=enroll))
