"""HTTP of deleting one's own account."""

from typing import Annotated

from fastapi import Body, Request
from starlette.responses import Response

from functions.users.leaving import service
from functions.users.leaving.schemas import AccountDelete, AccountLeaving
from quintet.http.answers import changed
from quintet.http.dependencies import Caller, SessionDep, rate_limit
from quintet.http.problems import responses
from quintet.http.routing import Router

router = Router(prefix="/users/me", tags=["users"])


@router.delete("", status_code=202, response_model=AccountLeaving, responses=responses(403, 409, 429))
async def delete_me(
    request: Request,
    session: SessionDep,
    caller: Caller,
    sent: Annotated[AccountDelete | None, Body()] = None,
) -> Response:
    """Delete the caller's own account: it is disabled, and after 30 days nothing tells any more who it was.

    Send the password, or ask within ten minutes of a sign-in. Until then the account can be taken back by a link that
    is mailed. What others work with stays, under the name of a deleted user.
    """
    rate_limit(request, session, "sign_in", account=caller.email)
    at = service.request_deletion(session, caller, password=sent.password if sent else None)
    response = changed(AccountLeaving(erased_after=at))
    response.status_code = 202
    return response
