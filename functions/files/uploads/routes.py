"""HTTP of uploads."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Form, Query, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import Field, ValidationError
from starlette.responses import Response

from functions.files.fields import Name
from functions.files.stored.schemas import FileRead
from functions.files.uploads import multipart, service
from functions.files.uploads.schemas import (
    FileCreate,
    MediaType,
    MultipartRead,
    PartLinks,
    PartRange,
    PartRead,
    PresignedUpload,
    Sha256,
    Size,
    UploadComplete,
)
from quintet.db.models.files import FilePurpose
from quintet.files.purposes import MB
from quintet.http.answers import changed, created
from quintet.http.dependencies import Caller, Paging, SessionDep, in_transaction, outside_transaction
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/files", tags=["uploads"])


@router.post(
    "",
    status_code=201,
    response_model=FileRead,
    dependencies=[Idempotent],
    responses=responses(403, 409, 503),
    max_body_size=6 * MB,  # all that Lambda takes; what is too large for us but not for it gets a helpful answer
)
async def upload_file(
    request: Request,
    session: SessionDep,
    caller: Caller,
    file: Annotated[UploadFile, Field(description="The content, 4 MB at most, with its name and type.")],
    project_id: Annotated[UUID | None, Form()] = None,
    folder_id: Annotated[UUID | None, Form()] = None,
    purpose: Annotated[FilePurpose, Form()] = "asset",
) -> Response:
    """Upload a small file. It is checked at once, from a queue: its status becomes ready or rejected."""
    content = await file.read()
    new = _described(file, len(content), project_id, folder_id, purpose)
    stored = service.upload_direct(session, caller, new=new, content=content)
    return created(request, FileRead.model_validate(stored), f"/files/{stored.id}")


@router.get(
    "/presign-upload",
    response_model=PresignedUpload,
    dependencies=[Depends(in_transaction)],
    responses=responses(403, 409, 413),
)
async def presign_upload(
    session: SessionDep,
    caller: Caller,
    file_name: Annotated[Name, Query()],
    size: Annotated[Size, Query()],
    content_type: Annotated[MediaType, Query()] = "application/octet-stream",
    sha256: Annotated[Sha256 | None, Query()] = None,
    project_id: Annotated[UUID | None, Query(description="Without it the file is yours alone.")] = None,
    folder_id: UUID | None = None,
    purpose: FilePurpose = "asset",
) -> Response:
    """Register a file and get a form that uploads it to S3; for up to 5 GB."""
    new = FileCreate(
        file_name=file_name,
        size=size,
        content_type=content_type,
        project_id=project_id,
        folder_id=folder_id,
        purpose=purpose,
    )
    file, form = service.presign_upload(session, caller, new=new, sha256=sha256)
    return changed(PresignedUpload(file_id=file.id, url=form.url, fields=form.fields, expires_at=form.expires_at))


@router.post(
    "/multipart",
    status_code=201,
    response_model=MultipartRead,
    dependencies=[Idempotent],
    responses=responses(403, 409, 503),
)
async def create_multipart(request: Request, session: SessionDep, caller: Caller, new: FileCreate) -> Response:
    """Begin a multipart upload, for large files."""
    file = multipart.create(session, caller, new=new)
    begun = MultipartRead(
        file_id=file.id,
        part_size=multipart.part_size(file.size),
        part_count=multipart.part_count(file.size),
        version=file.version,
    )
    return created(request, begun, f"/files/{file.id}")


@router.post(
    "/{file_id}/parts",
    response_model=PartLinks,
    dependencies=[Depends(outside_transaction)],
    responses=responses(403, 409),
)
async def sign_parts(session: SessionDep, caller: Caller, file_id: UUID, wanted: PartRange) -> Response:
    """Get links to send parts to; each is good for an hour."""
    expires_at = datetime.now(UTC) + multipart.PART_LIFETIME
    items = multipart.sign_parts(session, caller, file_id=file_id, wanted=wanted)
    return changed(PartLinks(items=items, expires_at=expires_at))


@router.get("/{file_id}/parts", response_model=Page[PartRead], responses=responses(403, 409, 410, 503))
async def list_parts(session: SessionDep, caller: Caller, file_id: UUID, paging: Paging) -> Response:
    """List the parts that have arrived, by number, so that an upload can go on where it stopped."""
    items, next_cursor = multipart.list_parts(session, caller, file_id=file_id, paging=paging)
    return changed(Page[PartRead](items=items, next_cursor=next_cursor))


@router.post(
    "/{file_id}/complete",
    response_model=FileRead,
    dependencies=[Depends(outside_transaction)],
    responses=responses(403, 409, 410, 503),
    max_body_size=2 * MB,  # 10,000 parts
)
async def complete_upload(session: SessionDep, caller: Caller, file_id: UUID, upload: UploadComplete) -> Response:
    """Put the parts together. The file is checked at once, from a queue: its status becomes ready or rejected."""
    file = multipart.complete(session, caller, file_id=file_id, parts=upload.parts, crc64nvme=upload.crc64nvme)
    return changed(FileRead.model_validate(file))


@router.post("/{file_id}/abort", status_code=204, responses=responses(403, 409))
async def abort_upload(session: SessionDep, caller: Caller, file_id: UUID) -> Response:
    """Give up a multipart upload; its parts and the file go."""
    multipart.abort(session, caller, file_id=file_id)
    return Response(status_code=204)


def _described(
    file: UploadFile, size: int, project_id: UUID | None, folder_id: UUID | None, purpose: FilePurpose
) -> FileCreate:
    """What the part's own headers say of the file, checked like any other description."""
    try:
        return FileCreate(
            file_name=file.filename or "",
            size=size,
            content_type=file.content_type or "application/octet-stream",
            project_id=project_id,
            folder_id=folder_id,
            purpose=purpose,
        )
    except ValidationError as error:
        raise RequestValidationError([{**e, "loc": ("body", "file", *e["loc"])} for e in error.errors()]) from None
