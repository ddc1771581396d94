"""HTTP of folders."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from starlette.responses import Response

from functions.files.fields import Root
from functions.files.folders import queries, service
from functions.files.folders.schemas import FolderCreate, FolderRead, FolderUpdate
from quintet.http.answers import changed, created, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/folders", tags=["folders"])


@router.get("", response_model=Page[FolderRead], responses=responses(404))
async def list_folders(
    session: SessionDep,
    caller: Caller,
    paging: Paging,
    project_id: UUID,
    parent_id: Annotated[UUID | Root | None, Query(description="`root`: folders at the top.")] = None,
) -> Response:
    """List the folders of a project, newest first."""
    return listed(queries.list_folders(session, caller, paging, project_id=project_id, parent_id=parent_id))


@router.post("", status_code=201, response_model=FolderRead, dependencies=[Idempotent], responses=responses(403, 409))
async def create_folder(request: Request, session: SessionDep, caller: Caller, new: FolderCreate) -> Response:
    """Create a folder; for the project's editors."""
    folder = service.create_folder(session, caller, new=new)
    return created(request, FolderRead.model_validate(folder), f"/folders/{folder.id}")


@router.get("/{folder_id}", response_model=FolderRead)
async def read_folder(request: Request, session: SessionDep, caller: Caller, folder_id: UUID) -> Response:
    """Read one folder."""
    return fresh(request, queries.read_folder(session, caller, folder_id))


@router.change("/{folder_id}", response_model=FolderRead, responses=responses(403, 409))
async def update_folder(
    session: SessionDep, caller: Caller, folder_id: UUID, change: FolderUpdate, expected: IfMatch
) -> Response:
    """Rename a folder, or move it within its project; for the project's editors."""
    folder = service.update_folder(session, caller, folder_id=folder_id, change=change, expected=expected)
    return changed(FolderRead.model_validate(folder))


@router.delete("/{folder_id}", status_code=204, responses=responses(403, 409))
async def delete_folder(session: SessionDep, caller: Caller, folder_id: UUID, expected: IfMatch) -> Response:
    """Delete an empty folder; for the project's editors."""
    service.delete_folder(session, caller, folder_id=folder_id, expected=expected)
    return Response(status_code=204)
