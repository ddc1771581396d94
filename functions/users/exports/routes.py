"""HTTP of exports."""

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from functions.users.exports import queries, service
from functions.users.exports.schemas import ExportRead
from quintet.files import links
from quintet.http.answers import created
from quintet.http.conditional import fresh
from quintet.http.dependencies import Caller, SessionDep, rate_limit
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router

router = Router(prefix="/users/me/export", tags=["users"])


@router.post("", status_code=202, response_model=ExportRead, dependencies=[Idempotent], responses=responses(429))
async def request_export(request: Request, session: SessionDep, caller: Caller) -> Response:
    """Have all of the caller's data put together as a ZIP archive; an email says when it is ready.

    While one is under way there is no second: the answer is that one.
    """
    rate_limit(request, session, "export", account=str(caller.user_id))
    service.request_export(session, caller)
    response = created(request, queries.read_export(session, caller), "/users/me/export")
    response.status_code = 202
    return response


@router.get("", response_model=ExportRead, responses=responses(404))
async def read_export(request: Request, session: SessionDep, caller: Caller) -> Response:
    """Read how far the caller's latest export is."""
    return fresh(request, queries.read_export(session, caller))


@router.get(
    "/content",
    status_code=303,
    response_class=RedirectResponse,
    responses={303: {"description": "At this address is the archive, for some minutes."}, **responses(404, 409, 410)},
)
async def read_export_content(session: SessionDep, caller: Caller) -> Response:
    """Go to the archive; it is kept for a week."""
    link = links.download(queries.stored_export(session, caller))
    return Response(status_code=303, headers={"location": link.url})
