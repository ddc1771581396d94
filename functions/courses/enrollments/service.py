"""The rules of enrollments: one for each person and course, seats in the order of arrival."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from functions.courses.access import locked_course, own_course
from functions.courses.enrollments import queries
from functions.courses.enrollments.schemas import PeopleEnroll
from quintet.db.models.courses import Course, Enrollment
from quintet.errors import Conflict, NotFound
from quintet.events.courses import leave
from quintet.events.record import Happening, record_all, scope_of
from quintet.events.types import EventType
from quintet.identity.principal import Principal

_RESULTS = {"active": "enrolled", "waitlisted": "waitlisted"}


def enroll(session: Session, caller: Principal, *, course_id: UUID) -> bool:
    """Give the caller a seat, or a place on the waitlist; whether they had neither. Repeatable."""
    course = locked_course(session, caller, course_id)
    if course.status != "published" and _takes(session, course_id, caller.user_id):
        return False
    return bool(_enroll(session, course, [caller.user_id]))


def enroll_people(
    session: Session, caller: Principal, *, course_id: UUID, people: PeopleEnroll
) -> dict[str, list[dict[str, Any]]]:
    """Enroll others, in the order they are named; for whoever created the course. What became of each. Repeatable."""
    course = own_course(session, caller, course_id)
    asked = queries.find_people(session, course_id, user_ids=people.user_ids, emails=people.emails)
    found = dict.fromkeys(person.id for person in asked if person.id)
    made = dict(_enroll(session, course, list(found)))
    results = {user_id: _RESULTS[status] for user_id, status in made.items()}
    items = []
    for person in asked:
        # Who is named twice is enrolled by the first of the two.
        result = results.pop(person.id, "already_enrolled") if person.id else "unknown"
        status = made.get(person.id, person.status)
        items.append({"user_id": person.id, "email": person.email, "result": result, "status": status})
    return {"items": items}


def unenroll(session: Session, caller: Principal, *, course_id: UUID) -> None:
    """Give the caller's seat, or place on the waitlist, back. Repeatable."""
    locked_course(session, caller, course_id)
    leave(session, course_id, caller.user_id)


def remove_student(session: Session, caller: Principal, *, course_id: UUID, user_id: UUID) -> None:
    """Take somebody off a course; for whoever created it."""
    own_course(session, caller, course_id)
    if not leave(session, course_id, user_id):
        raise NotFound("This account is not enrolled in the course.")


def _enroll(session: Session, course: Course, user_ids: Sequence[UUID]) -> list[tuple[UUID, str]]:
    """Who is newly enrolled, and as what."""
    if course.status != "published":
        raise Conflict(
            "Only a published course can be enrolled in.", next={"rel": "course", "href": f"/courses/{course.id}"}
        )
    made = queries.seat(session, course.id, user_ids)
    scope = scope_of("course", course.id)
    record_all(
        session,
        [
            Happening(
                EventType.ENROLLMENT_CREATED,
                row.id,
                scope,
                {"course_id": str(course.id), "user_id": str(row.user_id), "status": row.status},
            )
            for row in made
        ],
    )
    return [(row.user_id, row.status) for row in made]


def _takes(session: Session, course_id: UUID, user_id: UUID) -> bool:
    return bool(
        session.scalar(select(exists().where(Enrollment.course_id == course_id, Enrollment.user_id == user_id)))
    )
