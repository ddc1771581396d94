"""HTTP of divisions."""

from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from functions.users.divisions import queries, service
from functions.users.divisions.schemas import DivisionCreate, DivisionMemberRead, DivisionRead, DivisionUpdate
from quintet.http.answers import changed, created, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/divisions", tags=["divisions"])


@router.get("", response_model=Page[DivisionRead])
async def list_divisions(session: SessionDep, caller: Caller, paging: Paging) -> Response:
    """List all divisions, newest first."""
    return listed(queries.list_divisions(session, paging))


@router.post("", status_code=201, response_model=DivisionRead, dependencies=[Idempotent], responses=responses(403, 409))
async def create_division(request: Request, session: SessionDep, caller: Caller, new: DivisionCreate) -> Response:
    """Create a division; needs `divisions:write`."""
    division = service.create_division(session, caller, new=new)
    return created(request, DivisionRead.model_validate(division), f"/divisions/{division.id}")


@router.get("/{division_id}", response_model=DivisionRead)
async def read_division(request: Request, session: SessionDep, caller: Caller, division_id: UUID) -> Response:
    """Read one division."""
    return fresh(request, queries.read_division(session, division_id))


@router.change("/{division_id}", response_model=DivisionRead, responses=responses(403, 409))
async def update_division(
    session: SessionDep, caller: Caller, division_id: UUID, change: DivisionUpdate, expected: IfMatch
) -> Response:
    """Change a division; needs `divisions:write`."""
    division = service.update_division(session, caller, division_id=division_id, change=change, expected=expected)
    return changed(DivisionRead.model_validate(division))


@router.delete("/{division_id}", status_code=204, responses=responses(403))
async def delete_division(session: SessionDep, caller: Caller, division_id: UUID, expected: IfMatch) -> Response:
    """Remove a division; its members belong to it no more. Needs `divisions:write`."""
    service.delete_division(session, caller, division_id=division_id, expected=expected)
    return Response(status_code=204)


@router.get("/{division_id}/members", response_model=Page[DivisionMemberRead], responses=responses(403))
async def list_division_members(session: SessionDep, caller: Caller, division_id: UUID, paging: Paging) -> Response:
    """List who belongs to a division; for its members and with `users:read`."""
    return listed(queries.list_members(session, caller, division_id, paging))


@router.put("/{division_id}/members/{user_id}", status_code=204, responses=responses(403))
async def add_division_member(session: SessionDep, caller: Caller, division_id: UUID, user_id: UUID) -> Response:
    """Have an account belong to a division; needs `divisions:write`."""
    service.add_member(session, caller, division_id=division_id, user_id=user_id)
    return Response(status_code=204)


@router.delete("/{division_id}/members/{user_id}", status_code=204, responses=responses(403))
async def remove_division_member(session: SessionDep, caller: Caller, division_id: UUID, user_id: UUID) -> Response:
    """Have an account belong to a division no more; needs `divisions:write`."""
    service.remove_member(session, caller, division_id=division_id, user_id=user_id)
    return Response(status_code=204)
