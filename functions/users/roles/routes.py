"""HTTP of roles."""

from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from functions.users.roles import queries, service
from functions.users.roles.schemas import RoleCreate, RoleRead, RoleUpdate
from quintet.http.answers import changed, created, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/roles", tags=["roles"])


@router.get("", response_model=Page[RoleRead])
async def list_roles(session: SessionDep, caller: Caller, paging: Paging) -> Response:
    """List all roles and what they permit."""
    return listed(queries.list_roles(session, paging))


@router.post("", status_code=201, response_model=RoleRead, dependencies=[Idempotent], responses=responses(403, 409))
async def create_role(request: Request, session: SessionDep, caller: Caller, new: RoleCreate) -> Response:
    """Create a role; needs `roles:write`, and each permission that the role is to have."""
    role = service.create_role(session, caller, new=new)
    return created(request, RoleRead.model_validate(role), f"/roles/{role.id}")


@router.get("/{role_id}", response_model=RoleRead)
async def read_role(request: Request, session: SessionDep, caller: Caller, role_id: UUID) -> Response:
    """Read one role."""
    return fresh(request, queries.read_role(session, role_id))


@router.change("/{role_id}", response_model=RoleRead, responses=responses(403, 409))
async def update_role(
    session: SessionDep, caller: Caller, role_id: UUID, change: RoleUpdate, expected: IfMatch
) -> Response:
    """Change a role, at once for everybody who holds it; needs `roles:write`, and each permission of the role."""
    role = service.update_role(session, caller, role_id=role_id, change=change, expected=expected)
    return changed(RoleRead.model_validate(role))


@router.delete("/{role_id}", status_code=204, responses=responses(403, 409))
async def delete_role(session: SessionDep, caller: Caller, role_id: UUID, expected: IfMatch) -> Response:
    """Remove a role that nobody holds; needs `roles:write`."""
    service.delete_role(session, caller, role_id=role_id, expected=expected)
    return Response(status_code=204)
