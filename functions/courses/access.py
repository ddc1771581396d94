"""Who may do what with a course, and the lock they do it under. What the caller may not see does not exist."""

from uuid import UUID

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from quintet.db.models.courses import Course, Enrollment
from quintet.db.reads import rows
from quintet.errors import Conflict, Forbidden, NotFound, Problem
from quintet.identity.courses import rights, visible
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal

OWNERS_ONLY = "This is for whoever created the course."

_SEEN = f"SELECT FROM courses c WHERE c.id = %(id)s AND {visible('c')}"


def locked_course(
    session: Session, caller: Principal, course_id: UUID, *, progress: bool = False, removal: bool = False
) -> Course:
    """The course, locked against other changes of it, its seats and lessons; 404 when the caller may not see it.

    `progress`: no lesson goes away meanwhile; all else may happen. `removal`: and nobody progresses. So whoever is done
    with all that is left has completed the course, and no crowd that learns keeps others out. Nobody waits for what
    they may not see.
    """
    statement = select(Course).where(Course.id == course_id)
    if not caller.can(Permission.COURSES_MANAGE_ALL):
        takes_it = exists().where(Enrollment.course_id == Course.id, Enrollment.user_id == caller.user_id)
        statement = statement.where(or_(Course.status == "published", Course.created_by == caller.user_id, takes_it))
    course = session.scalar(statement.with_for_update(read=progress, key_share=not removal, of=Course))
    if course is None:
        raise NotFound
    return course


def own_course(session: Session, caller: Principal, course_id: UUID, *, removal: bool = False) -> Course:
    """The course, locked, if the caller may change it; 403 when they may only see it."""
    course = locked_course(session, caller, course_id, removal=removal)
    if course.created_by != caller.user_id and not caller.can(Permission.COURSES_MANAGE_ALL):
        raise Forbidden(OWNERS_ONLY)
    return course


def require_open(course: Course) -> None:
    """409 when the course is archived."""
    if course.status == "archived":
        raise Conflict(
            "The course is archived, so it can only be read and left. Another `status` brings it back.",
            next={"rel": "course", "href": f"/courses/{course.id}"},
        )


def refusal(session: Session, caller: Principal, course_id: UUID, problem: Problem) -> Problem:
    """`problem` for who may see the course, for others that there is none."""
    there = rows(session, _SEEN, {"id": course_id, **rights(caller)})
    return problem if there else NotFound()
