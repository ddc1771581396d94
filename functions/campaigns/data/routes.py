"""HTTP of imports."""

import json
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.responses import RedirectResponse, Response

from functions.campaigns.data import queries, service
from functions.campaigns.data.schemas import ImportCreate, ImportForm, ImportMapping, ImportStatus, Preview, UploadRead
from quintet.db.models.campaigns import CampaignUpload, OnDuplicate
from quintet.errors import BadRequest, Conflict, NotFound
from quintet.files import links
from quintet.files.purposes import MB
from quintet.http.answers import changed, created, listed
from quintet.http.conditional import fresh
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/campaigns/{campaign_id}/data", tags=["imports"])

_BODY = {
    "required": True,
    "content": {
        media_type: {"schema": model.model_json_schema(ref_template="#/components/schemas/{model}")}
        for media_type, model in (("multipart/form-data", ImportForm), ("application/json", ImportCreate))
    },
}


class Sent(NamedTuple):
    """A file that is sent along, and what is to be done with it."""

    file_name: str
    content_type: str
    content: bytes
    on_duplicate: OnDuplicate
    mapping: ImportMapping | None


DryRun = Annotated[bool, Query(description="Check and count everything, and write no contact.")]


@router.post(
    "",
    status_code=202,
    response_model=UploadRead,
    dependencies=[Idempotent],
    responses=responses(403, 409, 503),
    openapi_extra={"requestBody": _BODY},
    max_body_size=6 * MB,  # all that Lambda takes; what is too large for us but not for it gets a helpful answer
)
async def import_contacts(
    request: Request, session: SessionDep, caller: Caller, campaign_id: UUID, dry_run: DryRun = False
) -> Response:
    """Import contacts from CSV or Excel: of a file that is sent along, or by the id of one that is uploaded."""
    sent = await _sent(request)
    if isinstance(sent, ImportCreate):
        upload = service.import_file(
            session,
            caller,
            campaign_id=campaign_id,
            file_id=sent.file_id,
            on_duplicate=sent.on_duplicate,
            mapping=sent.mapping,
            dry_run=dry_run,
        )
    else:
        upload = service.import_content(session, caller, campaign_id=campaign_id, dry_run=dry_run, **sent._asdict())
    response = created(request, _read(upload), f"/campaigns/{campaign_id}/data/status?upload={upload.id}")
    response.status_code = 202
    return response


@router.get("", response_model=Page[UploadRead], responses=responses(403))
async def list_imports(session: SessionDep, caller: Caller, campaign_id: UUID, paging: Paging) -> Response:
    """List the imports of a campaign, newest first."""
    return listed(queries.list_uploads(session, caller, campaign_id, paging))


@router.get("/status", response_model=ImportStatus, responses=responses(403))
async def read_import_status(
    request: Request,
    session: SessionDep,
    caller: Caller,
    campaign_id: UUID,
    upload: Annotated[UUID | None, Query(description="Which import; the latest by default.")] = None,
) -> Response:
    """How an import goes: state, counts, rate, time left, the first errors."""
    return fresh(request, queries.read_status(session, caller, campaign_id, upload))


@router.get("/preview", response_model=Preview, responses=responses(403, 409))
async def preview_import(
    session: SessionDep,
    caller: Caller,
    campaign_id: UUID,
    file_id: Annotated[UUID | None, Query(description="A file of yours; that of the latest import by default.")] = None,
) -> Response:
    """What an import would make of a file: how it is written, its columns and first rows."""
    return changed(service.preview(session, caller, campaign_id=campaign_id, file_id=file_id))


@router.get(
    "/{upload_id}/failed-rows",
    status_code=303,
    response_class=RedirectResponse,
    responses={303: {"description": "At this address is the list, for some minutes."}, **responses(403, 409)},
)
async def read_failed_rows(session: SessionDep, caller: Caller, campaign_id: UUID, upload_id: UUID) -> Response:
    """Go to the CSV of the rows that were not taken, with line and reason; corrected, it can be imported again."""
    status, failed, stored = queries.failed_rows(session, caller, campaign_id, upload_id)
    if status in ("uploaded", "processing"):
        raise Conflict("The import is under way. The list is there when it is over.")
    if stored is None and failed:
        raise NotFound("The list was deleted, or is not written yet: that of a cancelled import takes a moment.")
    if stored is None:
        raise NotFound("Every row that was read was taken.")
    return Response(status_code=303, headers={"location": links.download(stored).url})


@router.post("/{upload_id}/cancel", response_model=UploadRead, responses=responses(403, 409))
async def cancel_import(session: SessionDep, caller: Caller, campaign_id: UUID, upload_id: UUID) -> Response:
    """Break an import off. What is imported so far stays, and can be reverted."""
    return changed(_read(service.cancel(session, caller, campaign_id=campaign_id, upload_id=upload_id)))


@router.post("/{upload_id}/revert", status_code=202, response_model=UploadRead, responses=responses(403, 409))
async def revert_import(session: SessionDep, caller: Caller, campaign_id: UUID, upload_id: UUID) -> Response:
    """Undo an import, all of it or nothing: 409 when somebody has worked on its contacts since."""
    response = changed(_read(service.revert(session, caller, campaign_id=campaign_id, upload_id=upload_id)))
    response.status_code = 202
    return response


def _read(upload: CampaignUpload) -> UploadRead:
    return UploadRead.model_validate(upload)


async def _sent(request: Request) -> ImportCreate | Sent:
    """The body, whichever of the two it is; 400 names the field that is wrong."""
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type not in ("multipart/form-data", "application/json"):
        raise BadRequest("Send the file as the part `file` of multipart/form-data, or its id as JSON.")
    try:
        if media_type == "multipart/form-data":
            async with request.form(max_files=1, max_fields=10) as fields:
                return await _form(dict(fields))
        return ImportCreate.model_validate(_json(await request.body()))
    except ValidationError as error:
        raise _invalid(error) from None


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise RequestValidationError([{"type": "json_invalid", "loc": ("body",), "msg": ""}]) from None


def _invalid(error: ValidationError, *within: str) -> RequestValidationError:
    return RequestValidationError([{**e, "loc": ("body", *within, *e["loc"])} for e in error.errors()])


async def _form(fields: dict[str, Any]) -> Sent:
    file = fields.pop("file", None)
    if not isinstance(file, UploadFile):
        raise BadRequest.at("/file", "Send the file as a part with a file name.")
    form = ImportForm.model_validate({**fields, "file": ""})
    try:
        mapping = ImportMapping.model_validate_json(form.mapping) if form.mapping else None
    except ValidationError as error:
        raise _invalid(error, "mapping") from None
    media_type = file.content_type or "application/octet-stream"
    return Sent(file.filename or "contacts", media_type, await file.read(), form.on_duplicate, mapping)
