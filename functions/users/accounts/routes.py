"""HTTP of accounts, under two addresses: `/users`, and `/admin/users` for administrators only."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from starlette.responses import Response

from functions.users.accounts import queries, service
from functions.users.accounts.schemas import RoleName, UserCreate, UserRead, UserUpdate
from quintet.db.models.accounts import UserStatus
from quintet.errors import NotFound
from quintet.http.answers import changed, created, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Paging, SessionDep, rate_limit
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page, text
from quintet.identity.permissions import Permission


async def _administrator(request: Request, caller: Caller) -> None:
    caller.require(Permission.USERS_READ if request.method == "GET" else Permission.USERS_WRITE)


users = Router(prefix="/users", tags=["users"])
admin = Router(prefix="/admin/users", tags=["administration"], dependencies=[Depends(_administrator)])

Prefix = Annotated[str, text(200, min_length=1), Query(description="How the name or the address begins.")]


@users.get("/me", response_model=UserRead)
async def read_me(request: Request, session: SessionDep, caller: Caller) -> Response:
    """Read the caller's own account."""
    return fresh(request, queries.read_user(session, caller.user_id))


@users.change("/me", response_model=UserRead, responses=responses(403, 409, 429))
async def update_me(
    request: Request, session: SessionDep, caller: Caller, change: UserUpdate, expected: IfMatch
) -> Response:
    """Change the caller's own profile; a new address has to be verified anew."""
    return await update_user(request, session, caller, caller.user_id, change, expected)


@users.get("", response_model=Page[UserRead], responses=responses(403))
@admin.get("", response_model=Page[UserRead], responses=responses(403), name="admin_list_users")
async def list_users(
    session: SessionDep,
    caller: Caller,
    paging: Paging,
    q: Prefix | None = None,
    role: Annotated[RoleName | None, Query(description="Accounts that hold this role.")] = None,
    status: UserStatus | None = None,
    division_id: Annotated[UUID | None, Query(description="Accounts that belong to this division.")] = None,
) -> Response:
    """List all accounts, newest first; needs `users:read`."""
    return listed(queries.list_users(session, caller, paging, q=q, role=role, status=status, division=division_id))


@admin.post("", status_code=201, response_model=UserRead, dependencies=[Idempotent], responses=responses(403, 409))
async def create_user(request: Request, session: SessionDep, caller: Caller, new: UserCreate) -> Response:
    """Create an account with roles; without a password its owner is invited by email to set one."""
    user_id = service.create_account(session, caller, new=new)
    return created(request, queries.read_user(session, user_id), f"/users/{user_id}")


@users.get("/{user_id}", response_model=UserRead)
@admin.get("/{user_id}", response_model=UserRead, responses=responses(403), name="admin_read_user")
async def read_user(request: Request, session: SessionDep, caller: Caller, user_id: UUID) -> Response:
    """Read an account: one's own, or any with `users:read`."""
    if user_id != caller.user_id and not caller.can(Permission.USERS_READ):
        raise NotFound
    return fresh(request, queries.read_user(session, user_id))


@users.change("/{user_id}", response_model=UserRead, responses=responses(403, 409, 429))
@admin.change("/{user_id}", response_model=UserRead, responses=responses(403, 409, 429), name="admin_update_user")
async def update_user(
    request: Request, session: SessionDep, caller: Caller, user_id: UUID, change: UserUpdate, expected: IfMatch
) -> Response:
    """Change an account: one's own profile, or anything of it with `users:write`."""
    moves = "email" in change.model_fields_set and change.email.lower() != caller.email.lower()
    if moves and user_id == caller.user_id:  # or anybody's mailbox could be filled
        rate_limit(request, session, "email_verification", account=str(user_id))
    service.update_account(session, caller, user_id=user_id, change=change, expected=expected)
    return changed(queries.read_user(session, user_id))


@users.delete("/{user_id}", status_code=204, responses=responses(403, 409))
@admin.delete("/{user_id}", status_code=204, responses=responses(403, 409), name="admin_delete_user")
async def delete_user(
    session: SessionDep,
    caller: Caller,
    user_id: UUID,
    expected: IfMatch,
    purge: Annotated[bool, Query(description="Remove for good, if nothing refers to the account.")] = False,
) -> Response:
    """Disable an account, or remove it for good with `?purge=true`; its sessions end. Needs `users:write`."""
    remove = service.purge_account if purge else service.disable_account
    remove(session, caller, user_id=user_id, expected=expected)
    return Response(status_code=204)
