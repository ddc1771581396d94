"""HTTP of enrollments."""

from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from functions.courses.enrollments import queries, service
from functions.courses.enrollments.schemas import EnrollmentRead, PeopleEnroll, PeopleEnrolled, StudentRead
from quintet.db.models.courses import EnrollmentStatus
from quintet.http.answers import changed, listed
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.envelope import link
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/courses/{course_id}", tags=["courses"])


@router.post(
    "/enroll",
    status_code=201,
    response_model=EnrollmentRead,
    responses={
        200: {"description": "The caller was enrolled before.", "model": EnrollmentRead},
        **responses(409),
    },
)
async def enroll(request: Request, session: SessionDep, caller: Caller, course_id: UUID) -> Response:
    """Enroll the caller in a published course: a seat if one is free, else the end of the waitlist. May be repeated.

    Who waits moves up when somebody leaves or the course gets more seats, and is told.
    """
    is_new = service.enroll(session, caller, course_id=course_id)
    body = queries.read_enrollment(session, caller, course_id)
    if not is_new:
        return listed(body)
    headers = {"location": link(request.scope, f"/courses/{course_id}/enroll")}
    return Response(body, 201, headers, media_type="application/json")


@router.get("/enroll", response_model=EnrollmentRead)
async def read_enrollment(session: SessionDep, caller: Caller, course_id: UUID) -> Response:
    """Read the caller's own enrollment: their place on the waitlist, or how far they have come."""
    return listed(queries.read_enrollment(session, caller, course_id))


@router.delete("/enroll", status_code=204)
async def unenroll(session: SessionDep, caller: Caller, course_id: UUID) -> Response:
    """Leave a course, or its waitlist; progress is forgotten. May be repeated."""
    service.unenroll(session, caller, course_id=course_id)
    return Response(status_code=204)


@router.get("/enrollments", response_model=Page[StudentRead], responses=responses(403))
async def list_enrollments(
    session: SessionDep, caller: Caller, course_id: UUID, paging: Paging, status: EnrollmentStatus | None = None
) -> Response:
    """List who takes a course and who waits, those who came last first; for whoever created it."""
    return listed(queries.list_students(session, caller, course_id, paging, status=status))


@router.post("/enrollments", response_model=PeopleEnrolled, responses=responses(403, 409))
async def enroll_people(session: SessionDep, caller: Caller, course_id: UUID, people: PeopleEnroll) -> Response:
    """Enroll up to 200 people, and say what became of each; for whoever created the course. May be repeated."""
    enrolled = service.enroll_people(session, caller, course_id=course_id, people=people)
    return changed(PeopleEnrolled.model_validate(enrolled))


@router.delete("/enrollments/{user_id}", status_code=204, responses=responses(403))
async def remove_enrollment(session: SessionDep, caller: Caller, course_id: UUID, user_id: UUID) -> Response:
    """Take somebody off a course; for whoever created it."""
    service.remove_student(session, caller, course_id=course_id, user_id=user_id)
    return Response(status_code=204)
