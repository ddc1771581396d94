"""Seats of courses as they become free: by who leaves, by a capacity that grows, or because an account is removed.

And who is told of an enrollment: not those who take the same course.

Whoever calls has locked the course (FOR NO KEY UPDATE), and nobody else gives out seats of it before the commit.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.db.reads import rows
from quintet.events.record import Happening, record_all, scope_of
from quintet.events.types import EventType

_LEAVE = """
    WITH gone AS (
        DELETE FROM enrollments WHERE course_id = %(course_id)s AND user_id = %(user_id)s RETURNING id, user_id, status
    ), counted AS (
        UPDATE courses SET enrolled_count = enrolled_count - (gone.status <> 'waitlisted')::int,
                           waitlist_count = waitlist_count - (gone.status = 'waitlisted')::int
        FROM gone WHERE courses.id = %(course_id)s RETURNING gone.id, gone.user_id, courses.created_by
    )
    SELECT id, user_id, created_by FROM counted"""

_MOVE_UP = """
    WITH next AS (
        SELECT e.id, c.created_by FROM courses c CROSS JOIN LATERAL (
            SELECT id FROM enrollments WHERE course_id = c.id AND status = 'waitlisted' ORDER BY id
            LIMIT CASE WHEN c.capacity IS NOT NULL THEN greatest(c.capacity - c.enrolled_count, 0) END) e
        WHERE c.id = %(course_id)s AND c.status = 'published' AND c.waitlist_count > 0
    ), moved AS (
        UPDATE enrollments e SET status = 'active' FROM next WHERE e.id = next.id
        RETURNING e.id, e.user_id, next.created_by
    ), counted AS (
        UPDATE courses SET enrolled_count = enrolled_count + n, waitlist_count = waitlist_count - n
        FROM (SELECT count(*) AS n FROM moved) moves WHERE id = %(course_id)s AND n > 0
    )
    SELECT id, user_id, created_by FROM moved ORDER BY id"""

_LOCK_ALL = """
    SELECT id FROM courses WHERE id IN (SELECT course_id FROM enrollments WHERE user_id = %(user_id)s)
    ORDER BY id FOR NO KEY UPDATE"""


def leave(session: Session, course_id: UUID, user_id: UUID) -> bool:
    """End somebody's enrollment, progress and all, and give their seat to who waits first; whether they had one."""
    gone = rows(session, _LEAVE, {"course_id": course_id, "user_id": user_id})
    if not gone:
        return False
    record_enrollments(session, EventType.ENROLLMENT_REMOVED, course_id, gone)
    move_up(session, course_id)
    return True


def leave_all(session: Session, user_id: UUID) -> None:
    """End all of an account's enrollments, which is to be removed."""
    for course in rows(session, _LOCK_ALL, {"user_id": user_id}):
        leave(session, course.id, user_id)


def move_up(session: Session, course_id: UUID) -> None:
    """Give the free seats of a course, if it is published, to those who wait, in the order in which they came."""
    session.flush()
    moved = rows(session, _MOVE_UP, {"course_id": course_id})
    # By nobody: whoever left, a student is not to know.
    record_enrollments(session, EventType.ENROLLMENT_MOVED_UP, course_id, moved, by_nobody=True)


def record_enrollments(
    session: Session,
    type: EventType,
    course_id: UUID,
    changed: Iterable[Any],
    *,
    facts: tuple[str, ...] = (),
    by_nobody: bool = False,
) -> None:
    """Record what became of enrollments, each for whoever created the course, and for the student alone.

    `changed`: `id` and `user_id` of each, `created_by` of the course, and the `facts` that the events have too. Who
    takes a course of their own hears of it as the former.
    """
    happened = []
    for row in changed:
        known = {fact: getattr(row, fact) for fact in facts}
        data = {"course_id": str(course_id), "user_id": str(row.user_id), **known}
        happened.append(Happening(type, row.id, scope_of("roster", course_id), data))
        if row.user_id != row.created_by:
            happened.append(Happening(type, row.id, scope_of("user", row.user_id), data))
    record_all(session, happened, by_nobody=by_nobody)
