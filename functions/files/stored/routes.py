"""HTTP of files that are there."""

import json
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from starlette.responses import RedirectResponse, Response

from functions.files.fields import Root
from functions.files.stored import queries, service
from functions.files.stored.schemas import FileDetail, FileRead, FileUpdate, PresignedDownload
from quintet.db.json import Versioned
from quintet.db.models.files import FilePurpose, FileStatus
from quintet.files import links
from quintet.http.answers import changed, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page, rfc3339

router = Router(prefix="/files", tags=["files"])


@router.get("", response_model=Page[FileRead], responses=responses(404))
async def list_files(
    session: SessionDep,
    caller: Caller,
    paging: Paging,
    project_id: UUID | None = None,
    folder_id: Annotated[UUID | Root | None, Query(description="`root`: files in no folder.")] = None,
    status: FileStatus | None = None,
    purpose: FilePurpose | None = None,
) -> Response:
    """List the caller's own files and those of their projects, newest first."""
    return listed(
        queries.list_files(
            session, caller, paging, project_id=project_id, folder_id=folder_id, status=status, purpose=purpose
        )
    )


@router.get("/presign-download", response_model=PresignedDownload, responses=responses(404, 409))
async def presign_download(session: SessionDep, caller: Caller, file_id: UUID) -> Response:
    """A link to a file's content, for some minutes."""
    link = links.download(queries.read_file(session, caller, file_id).stored)
    return changed(PresignedDownload(file_id=file_id, url=link.url, expires_at=link.expires_at))


@router.get("/{file_id}", response_model=FileDetail)
async def read_file(request: Request, session: SessionDep, caller: Caller, file_id: UUID) -> Response:
    """Read a file's metadata; a ready one has a link to its content.

    The ETag changes with the link: an answer of 304 means that the link the caller has is still good for
    ten minutes or more. In `If-Match` any of them stands for the file's version.
    """
    found = queries.read_file(session, caller, file_id)
    ready = found.stored.status == "ready"
    body, version = found.json
    link = links.download(found.stored) if ready else None
    more = {
        "download_url": link and link.url,
        "download_expires_at": link and rfc3339(link.expires_at),
    }
    detail = body[:-1] + b"," + json.dumps(more, separators=(",", ":")).encode()[1:]
    return fresh(request, Versioned(detail, version), variant=f"{links.window():x}" if ready else "")


@router.get(
    "/{file_id}/content",
    status_code=303,
    response_class=RedirectResponse,
    responses={303: {"description": "At this address is the content, for some minutes."}, **responses(409)},
)
async def read_content(session: SessionDep, caller: Caller, file_id: UUID) -> Response:
    """Go to a file's content."""
    link = links.download(queries.read_file(session, caller, file_id).stored)
    return Response(status_code=303, headers={"location": link.url})


@router.change("/{file_id}", response_model=FileRead, responses=responses(403))
async def update_file(
    session: SessionDep, caller: Caller, file_id: UUID, change: FileUpdate, expected: IfMatch
) -> Response:
    """Rename a file, or move it to another folder or project."""
    file = service.update_file(session, caller, file_id=file_id, change=change, expected=expected)
    return changed(FileRead.model_validate(file))


@router.delete("/{file_id}", status_code=204, responses=responses(403))
async def delete_file(session: SessionDep, caller: Caller, file_id: UUID, expected: IfMatch) -> Response:
    """Delete a file and its content, all versions of it; aborts an upload that is under way."""
    service.delete_file(session, caller, file_id=file_id, expected=expected)
    return Response(status_code=204)
