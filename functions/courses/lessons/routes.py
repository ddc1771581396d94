"""HTTP of lessons."""

from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from functions.courses.enrollments.queries import read_enrollment
from functions.courses.enrollments.schemas import EnrollmentRead
from functions.courses.lessons import queries, service
from functions.courses.lessons.schemas import LessonCreate, LessonListed, LessonRead, LessonUpdate
from quintet.http.answers import changed, created, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/courses/{course_id}/lessons", tags=["courses"])

_MAX_BODY = 640 * 1024
"""Bytes: a lesson of 50,000 characters, each written as two escapes."""


@router.get("", response_model=Page[LessonListed], responses=responses(403))
async def list_lessons(session: SessionDep, caller: Caller, course_id: UUID) -> Response:
    """List the lessons of a course in their order, all on one page, without their content.

    For who has a seat in the course, and whoever created it.
    """
    return listed(queries.list_lessons(session, caller, course_id))


@router.post(
    "",
    status_code=201,
    response_model=LessonRead,
    dependencies=[Idempotent],
    responses=responses(403, 409),
    max_body_size=_MAX_BODY,
)
async def create_lesson(
    request: Request, session: SessionDep, caller: Caller, course_id: UUID, new: LessonCreate
) -> Response:
    """Add a lesson; for whoever created the course."""
    lesson_id = service.create_lesson(session, caller, course_id=course_id, new=new)
    read, _ = queries.read_lesson(session, caller, course_id, lesson_id)
    return created(request, read, f"/courses/{course_id}/lessons/{lesson_id}")


@router.get("/{lesson_id}", response_model=LessonRead, responses=responses(403))
async def read_lesson(
    request: Request, session: SessionDep, caller: Caller, course_id: UUID, lesson_id: UUID
) -> Response:
    """Read one lesson; its file, if it has one, at `/files/{file_id}`."""
    read, variant = queries.read_lesson(session, caller, course_id, lesson_id)
    return fresh(request, read, variant=variant)


@router.change("/{lesson_id}", response_model=LessonRead, responses=responses(403, 409), max_body_size=_MAX_BODY)
async def update_lesson(
    session: SessionDep, caller: Caller, course_id: UUID, lesson_id: UUID, change: LessonUpdate, expected: IfMatch
) -> Response:
    """Change the fields sent, or move the lesson; for whoever created the course."""
    service.update_lesson(session, caller, course_id=course_id, lesson_id=lesson_id, change=change, expected=expected)
    read, _ = queries.read_lesson(session, caller, course_id, lesson_id)
    return changed(read)


@router.delete("/{lesson_id}", status_code=204, responses=responses(403, 409))
async def delete_lesson(
    session: SessionDep, caller: Caller, course_id: UUID, lesson_id: UUID, expected: IfMatch
) -> Response:
    """Remove a lesson for good; for whoever created the course."""
    service.remove_lesson(session, caller, course_id=course_id, lesson_id=lesson_id, expected=expected)
    return Response(status_code=204)


@router.put("/{lesson_id}/completion", response_model=EnrollmentRead, responses=responses(403, 409))
async def complete_lesson(session: SessionDep, caller: Caller, course_id: UUID, lesson_id: UUID) -> Response:
    """Say that the caller is done with a lesson. Who is done with all has completed the course. May be repeated."""
    service.complete_lesson(session, caller, course_id=course_id, lesson_id=lesson_id)
    return listed(read_enrollment(session, caller, course_id))


@router.delete("/{lesson_id}/completion", status_code=204, responses=responses(403, 409))
async def reopen_lesson(session: SessionDep, caller: Caller, course_id: UUID, lesson_id: UUID) -> Response:
    """Take that back; a course that was completed stays so. May be repeated."""
    service.reopen_lesson(session, caller, course_id=course_id, lesson_id=lesson_id)
    return Response(status_code=204)
