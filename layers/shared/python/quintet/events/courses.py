"""Seats of courses as they become free: by who leaves, by a capacity that grows, or because an account is removed.

Whoever calls has locked the course (FOR NO KEY UPDATE), and nobody else gives out seats of it before the commit.
"""

from uuid import UUID

from sqlalchemy.orm import Session

from quintet.db.reads import rows
from quintet.events.record import Happening, record_all, scope_of
from quintet.events.types import EventType

_LEAVE = """
    WITH gone AS (
        DELETE FROM enrollments WHERE course_id = %(course_id)s AND user_id = %(user_id)s RETURNING id, status
    ), counted AS (
        UPDATE courses SET enrolled_count = enrolled_count - (gone.status <> 'waitlisted')::int,
                           waitlist_count = waitlist_count - (gone.status = 'waitlisted')::int
        FROM gone WHERE courses.id = %(course_id)s
    )
    SELECT id FROM gone"""

_MOVE_UP = """
    WITH next AS (
        SELECT e.id FROM courses c CROSS JOIN LATERAL (
            SELECT id FROM enrollments WHERE course_id = c.id AND status = 'waitlisted' ORDER BY id
            LIMIT CASE WHEN c.capacity IS NOT NULL THEN greatest(c.capacity - c.enrolled_count, 0) END) e
        WHERE c.id = %(course_id)s AND c.status = 'published' AND c.waitlist_count > 0
    ), moved AS (
        UPDATE enrollments e SET status = 'active' FROM next WHERE e.id = next.id RETURNING e.id, e.user_id
    ), counted AS (
        UPDATE courses SET enrolled_count = enrolled_count + n, waitlist_count = waitlist_count - n
        FROM (SELECT count(*) AS n FROM moved) moves WHERE id = %(course_id)s AND n > 0
    )
    SELECT id, user_id FROM moved ORDER BY id"""

_LOCK_ALL = """
    SELECT id FROM courses WHERE id IN (SELECT course_id FROM enrollments WHERE user_id = %(user_id)s)
    ORDER BY id FOR NO KEY UPDATE"""


def leave(session: Session, course_id: UUID, user_id: UUID) -> bool:
    """End somebody's enrollment, progress and all, and give their seat to who waits first; whether they had one."""
    found = rows(session, _LEAVE, {"course_id": course_id, "user_id": user_id})
    if not found:
        return False
    [gone] = found
    data = {"course_id": str(course_id), "user_id": str(user_id)}
    # Who is gone can read nothing of the course's events any more, this neither.
    scopes = scope_of("course", course_id), scope_of("user", user_id)
    record_all(session, [Happening(EventType.ENROLLMENT_REMOVED, gone.id, scope, data) for scope in scopes])
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
    scope = scope_of("course", course_id)
    record_all(
        session,
        [
            Happening(
                EventType.ENROLLMENT_MOVED_UP,
                row.id,
                scope,
                {"course_id": str(course_id), "user_id": str(row.user_id)},
            )
            for row in moved
        ],
    )
