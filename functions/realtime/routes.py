"""HTTP of tickets."""

from fastapi import Depends, Request
from starlette.responses import Response

from functions.realtime import service
from functions.realtime.schemas import TicketRead
from quintet.http.answers import changed
from quintet.http.dependencies import Caller, SessionDep, rate_limit
from quintet.http.problems import responses
from quintet.http.routing import Router

router = Router(prefix="/realtime", tags=["realtime"])


async def _limit(request: Request, session: SessionDep, caller: Caller) -> None:
    rate_limit(request, session, "realtime_ticket", account=str(caller.user_id))


@router.post(
    "/tickets", status_code=201, response_model=TicketRead, dependencies=[Depends(_limit)], responses=responses(429)
)
async def create_ticket(session: SessionDep, caller: Caller) -> Response:
    """Get a ticket for one WebSocket connection, which ends with the caller's session; see `/asyncapi.json`."""
    answer = changed(service.create_ticket(session, caller))
    answer.status_code = 201
    return answer
