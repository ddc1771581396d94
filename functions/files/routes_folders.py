"""HTTP of folders."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from starlette.responses import Response

from functions.files import folders, queries
from functions.files.schemas import FolderCreate, FolderRead, FolderUpdate, Root
from quintet.http.conditional import IfMatch, fresh, listed, written
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.envelope import link
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/folders", tags=["folders"])


@router.get("", response_model=Page[FolderRead])
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
    folder = folders.create_folder(session, caller, new=new)
    return written(
        FolderRead.model_validate(folder),
        folder.version,
        status=201,
        location=link(request.scope, f"/folders/{folder.id}"),
    )


@router.get("/{folder_id}", response_model=FolderRead)
async def read_folder(request: Request, session: SessionDep, caller: Caller, folder_id: UUID) -> Response:
    """Read one folder."""
    return fresh(request, queries.read_folder(session, caller, folder_id))


@router.change("/{folder_id}", response_model=FolderRead, responses=responses(403, 409))
async def update_folder(
    session: SessionDep, caller: Caller, folder_id: UUID, change: FolderUpdate, if_match: IfMatch
) -> Response:
    """Rename a folder, or move it within its project; for the project's editors."""
    folder = folders.update_folder(session, caller, folder_id=folder_id, change=change, if_match=if_match)
    return written(FolderRead.model_validate(folder), folder.version)


@router.delete("/{folder_id}", status_code=204, responses=responses(403, 409))
async def remove_folder(session: SessionDep, caller: Caller, folder_id: UUID, if_match: IfMatch) -> Response:
    """Delete an empty folder; for the project's editors."""
    folders.remove_folder(session, caller, folder_id=folder_id, if_match=if_match)
    return Response(status_code=204)
