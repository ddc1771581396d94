"""HTTP of accounts."""

from fastapi import Request
from starlette.responses import Response

from functions.users import queries
from functions.users.schemas import UserRead
from quintet.http.conditional import fresh
from quintet.http.dependencies import Caller, SessionDep
from quintet.http.routing import Router

router = Router(prefix="/users", tags=["users"])


@router.get("/me", response_model=UserRead)
async def read_me(request: Request, session: SessionDep, caller: Caller) -> Response:
    """Read the caller's own account."""
    return fresh(request, queries.read_user(session, caller.user_id))
