"""HTTP of courses."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from starlette.responses import Response

from functions.courses.courses import cache, queries, service
from functions.courses.courses.schemas import CourseCreate, CourseRead, CourseUpdate
from quintet.db.models.courses import CourseStatus
from quintet.errors import Unauthorized
from quintet.http.answers import changed, created
from quintet.http.conditional import IfMatch, fresh, unless_known
from quintet.http.dependencies import ANONYMOUS_TOO, AnyCaller, Caller, Paging, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page, text

router = Router(prefix="/courses", tags=["courses"])

Search = Annotated[str, text(200, min_length=1), Query(description="Words in title and description.")]


@router.get(
    "", response_model=Page[CourseRead], responses={304: {"description": "Not Modified"}}, openapi_extra=ANONYMOUS_TOO
)
async def list_courses(
    request: Request,
    session: SessionDep,
    caller: AnyCaller,
    paging: Paging,
    status: Annotated[CourseStatus | None, Query(description="Archived courses are listed only on request.")] = None,
    created_by: Annotated[UUID | None, Query(description="Courses of this account.")] = None,
    q: Search | None = None,
    enrolled: Annotated[bool | None, Query(description="Those the caller takes or waits for, or the others.")] = None,
) -> Response:
    """List courses, newest first: the published ones, and of others those the caller created or takes.

    Without signing in the list may be cached, by anybody, and is up to 30 seconds old (60 while a cache fetches a new
    one). Signed in it is as of now.
    """
    if caller is None and enrolled is not None:
        raise Unauthorized

    def read() -> bytes:
        return queries.list_courses(session, caller, paging, status=status, created_by=created_by, q=q, taken=enrolled)

    headers = {"vary": "Authorization"}
    if caller:
        body = read()
        headers["cache-control"] = "private, no-cache"
        return unless_known(request, body, etag=cache.etag_of(body), headers=headers)
    kept, age = cache.public.get((paging, status, created_by, q), read)
    headers["cache-control"] = cache.cache_control(age)
    return unless_known(request, kept.body, etag=kept.etag, headers=headers)


@router.post("", status_code=201, response_model=CourseRead, dependencies=[Idempotent], responses=responses(403))
async def create_course(request: Request, session: SessionDep, caller: Caller, new: CourseCreate) -> Response:
    """Create a course, by default as a draft; for instructors and administrators."""
    course_id = service.create_course(session, caller, new=new)
    read, _ = queries.read_course(session, caller, course_id)
    return created(request, read, f"/courses/{course_id}")


@router.get("/{course_id}", response_model=CourseRead, openapi_extra=ANONYMOUS_TOO)
async def read_course(request: Request, session: SessionDep, caller: AnyCaller, course_id: UUID) -> Response:
    """Read one course: a published one without signing in, too."""
    read, variant = queries.read_course(session, caller, course_id)
    response = fresh(request, read, variant=variant)
    response.headers["vary"] = "Authorization"
    return response


@router.change("/{course_id}", response_model=CourseRead, responses=responses(403))
async def update_course(
    session: SessionDep, caller: Caller, course_id: UUID, change: CourseUpdate, expected: IfMatch
) -> Response:
    """Change the fields sent; for whoever created the course.

    More seats go to those who wait, in the order in which they came. With fewer nobody loses theirs.
    """
    service.update_course(session, caller, course_id=course_id, change=change, expected=expected)
    read, _ = queries.read_course(session, caller, course_id)
    return changed(read)


@router.delete("/{course_id}", status_code=204, responses=responses(403))
async def delete_course(
    session: SessionDep,
    caller: Caller,
    course_id: UUID,
    expected: IfMatch,
    purge: Annotated[bool, Query(description="Delete for good; needs `courses:purge`.")] = False,
) -> Response:
    """Archive a course, or delete it for good with `?purge=true`."""
    remove = service.purge_course if purge else service.archive_course
    remove(session, caller, course_id=course_id, expected=expected)
    return Response(status_code=204)
