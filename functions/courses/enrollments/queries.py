"""The SQL of enrollments."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from functions.courses.access import OWNERS_ONLY, refusal
from functions.courses.enrollments.schemas import EnrollmentRead, StudentRead
from quintet.db.json import columns_of, page
from quintet.db.models.courses import EnrollmentStatus
from quintet.db.reads import rows
from quintet.errors import Forbidden, NotFound
from quintet.identity.courses import owned, rights
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

# Counted from the end, where newcomers are, who hold the course's lock meanwhile.
_COMPUTED = {
    "waitlist_position": """CASE WHEN e.status = 'waitlisted' THEN (
        SELECT c.waitlist_count - (SELECT count(*) FROM enrollments w
            WHERE w.course_id = c.id AND w.status = 'waitlisted' AND w.id > e.id)
        FROM courses c WHERE c.id = e.course_id) END""",
    "lessons_completed": "(SELECT count(*) FROM lesson_progress p WHERE p.enrollment_id = e.id)",
    "lesson_count": "(SELECT count(*) FROM lessons l WHERE l.course_id = e.course_id)",
}
ENROLLMENT = f"SELECT {columns_of(EnrollmentRead, 'e', **_COMPUTED)} FROM enrollments e WHERE e.user_id = %(caller)s"
"""SQL: the caller's enrollments."""

# Those before the page are counted once for all on it.
_POSITION = """CASE WHEN e.status = 'waitlisted' THEN
        (SELECT count(*) FROM enrollments w WHERE w.course_id = %(course_id)s AND w.status = 'waitlisted'
           AND w.id < (SELECT id FROM found ORDER BY id LIMIT 1))
        + (SELECT count(*) FROM found f WHERE f.status = 'waitlisted' AND f.id <= e.id) END"""

_STUDENTS = f"""
    WITH found AS MATERIALIZED (
        SELECT * FROM enrollments e WHERE e.course_id = %(course_id)s AND e.id < %(before)s AND {{filter}}
        ORDER BY e.id DESC LIMIT %(limit)s + 1)
    SELECT {columns_of(StudentRead, "e", full_name="u.full_name", **{**_COMPUTED, "waitlist_position": _POSITION})}
    FROM found e JOIN users u ON u.id = e.user_id"""

_ONE = f"SELECT row_to_json(r)::text AS body FROM ({ENROLLMENT} AND e.course_id = %(course_id)s) r"

_PEOPLE = """
    SELECT u.id, asked.email, e.status FROM (
        SELECT n, id, NULL AS email FROM unnest(%(user_ids)s::uuid[]) WITH ORDINALITY AS by_id(id, n)
        UNION ALL
        SELECT n + cardinality(%(user_ids)s::uuid[]), (SELECT id FROM users WHERE users.email = by_email.email::citext),
               email
        FROM unnest(%(emails)s::text[]) WITH ORDINALITY AS by_email(email, n)) asked
    LEFT JOIN users u ON u.id = asked.id AND u.status = 'active'
    LEFT JOIN enrollments e ON e.user_id = u.id AND e.course_id = %(course_id)s
    ORDER BY asked.n"""

# The time of arrival, at which the course was locked, and not that of the transaction.
_SEAT = """
    WITH placed AS (
        SELECT user_id, row_number() OVER (ORDER BY n) AS place
        FROM unnest(%(user_ids)s::uuid[]) WITH ORDINALITY AS asked(user_id, n)
        WHERE NOT EXISTS (
            SELECT FROM enrollments e WHERE e.course_id = %(course_id)s AND e.user_id = asked.user_id)
    ), made AS (
        INSERT INTO enrollments (course_id, user_id, status, enrolled_at)
        SELECT c.id, user_id, CASE WHEN place > c.capacity - c.enrolled_count THEN 'waitlisted' ELSE 'active' END, at
        FROM placed CROSS JOIN courses c CROSS JOIN clock_timestamp() at WHERE c.id = %(course_id)s ORDER BY place
        RETURNING id, user_id, status
    ), counted AS (
        UPDATE courses SET enrolled_count = enrolled_count + seated, waitlist_count = waitlist_count + waiting
        FROM (SELECT count(*) FILTER (WHERE status = 'active') AS seated,
                     count(*) FILTER (WHERE status = 'waitlisted') AS waiting FROM made) new
        WHERE id = %(course_id)s AND seated + waiting > 0
    )
    SELECT id, user_id, status FROM made ORDER BY id"""


def read_enrollment(session: Session, caller: Principal, course_id: UUID) -> bytes:
    """The caller's enrollment in a course; 404 when there is none."""
    found = rows(session, _ONE, {"caller": caller.user_id, "course_id": course_id})
    if not found:
        raise NotFound("You are not enrolled in such a course.")
    [(body,)] = found
    return bytes(body.encode())


def list_students(
    session: Session, caller: Principal, course_id: UUID, paging: PageRequest, *, status: EnrollmentStatus | None
) -> bytes:
    """A page of a course's enrollments, newest first, for whoever created it; 403 for others who see the course."""
    sql = _STUDENTS.format(filter="e.status = %(status)s" if status else "true")
    its = f"EXISTS (SELECT FROM courses c WHERE c.id = %(course_id)s AND {owned('c')})"
    params = {"course_id": course_id, "status": status, **rights(caller)}
    try:
        return page(session, sql, params, paging, visible=its)
    except NotFound:
        raise refusal(session, caller, course_id, Forbidden(OWNERS_ONLY)) from None


def find_people(session: Session, course_id: UUID, *, user_ids: Sequence[UUID], emails: Sequence[str]) -> list[Any]:
    """For each who is asked for, in order: `id` of the active account, None when there is none, `email`, and `status`
    of their enrollment, if they have one.
    """
    return rows(session, _PEOPLE, {"course_id": course_id, "user_ids": list(user_ids), "emails": list(emails)})


def seat(session: Session, course_id: UUID, user_ids: Sequence[UUID]) -> list[Any]:
    """Enroll accounts that are not yet, in this order: `id`, `user_id` and `status` of each new enrollment.

    The course is locked and published, so either there is a free seat or somebody waits, never both.
    """
    return rows(session, _SEAT, {"course_id": course_id, "user_ids": list(user_ids)})
