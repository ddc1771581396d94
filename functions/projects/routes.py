"""HTTP of projects."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from starlette.responses import Response

from functions.projects import queries, service
from functions.projects.schemas import (
    MemberRead,
    MemberSet,
    ProjectCreate,
    ProjectRead,
    ProjectUpdate,
)
from quintet.db.models.projects import ProductType, ProjectStatus
from quintet.errors import BadRequest
from quintet.http.answers import changed, created, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page, text

router = Router(prefix="/projects", tags=["projects"])

Search = Annotated[str, text(200, min_length=1), Query(description="Words in title and description.")]


async def _owner(
    owner_id: Annotated[UUID | None, Query(description="Projects of this account.")] = None,
    owner: Annotated[UUID | None, Query(description="Another name of `owner_id`.")] = None,
) -> UUID | None:
    if owner_id and owner and owner_id != owner:
        raise BadRequest.at("query/owner", "This is another name of `owner_id`; send one, or the same value.")
    return owner_id or owner


@router.get("", response_model=Page[ProjectRead])
async def list_projects(
    session: SessionDep,
    caller: Caller,
    paging: Paging,
    owner_id: Annotated[UUID | None, Depends(_owner)],
    status: Annotated[ProjectStatus | None, Query(description="Archived projects are listed only on request.")] = None,
    product_type: ProductType | None = None,
    q: Search | None = None,
) -> Response:
    """List the projects shared with the caller (all of them with `projects:read_all`), newest first."""
    return listed(
        queries.list_projects(session, caller, paging, status=status, owner_id=owner_id, product_type=product_type, q=q)
    )


@router.post("", status_code=201, response_model=ProjectRead, dependencies=[Idempotent], responses=responses(403))
async def create_project(request: Request, session: SessionDep, caller: Caller, new: ProjectCreate) -> Response:
    """Create a project, by default as a draft."""
    project = service.create_project(session, caller, new=new)
    return created(request, ProjectRead.model_validate(project), f"/projects/{project.id}")


@router.get("/{project_id}", response_model=ProjectRead)
async def read_project(request: Request, session: SessionDep, caller: Caller, project_id: UUID) -> Response:
    """Read one project."""
    return fresh(request, queries.read_project(session, caller, project_id))


@router.change("/{project_id}", response_model=ProjectRead, responses=responses(403))
async def update_project(
    session: SessionDep, caller: Caller, project_id: UUID, change: ProjectUpdate, expected: IfMatch
) -> Response:
    """Change the fields sent; for the project's editors."""
    project = service.update_project(session, caller, project_id=project_id, change=change, expected=expected)
    return changed(ProjectRead.model_validate(project))


@router.delete("/{project_id}", status_code=204, responses=responses(403, 409))
async def delete_project(
    session: SessionDep,
    caller: Caller,
    project_id: UUID,
    expected: IfMatch,
    purge: Annotated[bool, Query(description="Delete for good; needs `projects:purge`.")] = False,
) -> Response:
    """Archive a project, or delete it for good with `?purge=true`."""
    remove = service.purge_project if purge else service.archive_project
    remove(session, caller, project_id=project_id, expected=expected)
    return Response(status_code=204)


@router.get("/{project_id}/members", response_model=Page[MemberRead])
async def list_members(session: SessionDep, caller: Caller, project_id: UUID, paging: Paging) -> Response:
    """List the members of a project."""
    return listed(queries.list_members(session, caller, project_id, paging))


@router.put("/{project_id}/members/{user_id}", status_code=204, responses=responses(403, 409))
async def set_member(
    session: SessionDep, caller: Caller, project_id: UUID, user_id: UUID, member: MemberSet
) -> Response:
    """Add a member, or change what they may do; for the project's owners."""
    service.set_member(session, caller, project_id=project_id, user_id=user_id, role=member.role)
    return Response(status_code=204)


@router.delete("/{project_id}/members/{user_id}", status_code=204, responses=responses(403, 409))
async def remove_member(session: SessionDep, caller: Caller, project_id: UUID, user_id: UUID) -> Response:
    """Take a member off a project; owners take anybody, everybody may leave."""
    service.remove_member(session, caller, project_id=project_id, user_id=user_id)
    return Response(status_code=204)
