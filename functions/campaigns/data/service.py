"""The rules of imports: what may be imported, broken off and undone."""

import io
from functools import partial
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from functions.campaigns.data import queries
from functions.campaigns.data.schemas import ImportMapping, Preview, PreviewColumn
from quintet.config import settings
from quintet.db.models.campaigns import CampaignUpload, ContactStaging, OnDuplicate
from quintet.db.models.files import File
from quintet.errors import BadRequest, Conflict, ContentTooLarge, FieldError, NotFound
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.files.objects import key_of
from quintet.files.purposes import GENERIC, PURPOSES, essence
from quintet.files.storage import MAX_DIRECT, sha256_of, store
from quintet.identity.campaigns import require_campaign
from quintet.identity.principal import Principal
from quintet.imports.mapping import beginning
from quintet.imports.s3file import S3File
from quintet.imports.tables import UnreadableTableError, open_table
from quintet.imports.uploads import contacts_came, mapping_of_list, send_after_commit

PREVIEW_ROWS = 10
_BUFFER = 256 * 1024
_PRESIGN = {"rel": "presign-upload", "href": "/files/presign-upload?purpose=campaign_data"}

# By people, or by a later import that is not undone itself; the newest of those.
_CHANGED_SINCE = """
    SELECT count(DISTINCT c.id) FILTER (WHERE c.worked_version > wrote.version) AS by_people,
           count(DISTINCT later.contact_id) AS by_imports, max(later.upload_id::text) AS newest
    FROM (
        SELECT id AS contact_id, 0 AS version FROM contacts WHERE upload_id = %(id)s
        UNION ALL SELECT contact_id, version FROM upload_changes WHERE upload_id = %(id)s) wrote
    JOIN contacts c ON c.id = wrote.contact_id
    LEFT JOIN upload_changes later ON later.contact_id = wrote.contact_id AND later.version > wrote.version
    WHERE c.worked_version > wrote.version OR later.contact_id IS NOT NULL"""

_IMPORTING = """
    SELECT EXISTS (SELECT FROM campaign_uploads
                   WHERE campaign_id = %(campaign)s AND status IN ('uploaded', 'processing') AND NOT dry_run)"""


def import_file(
    session: Session,
    caller: Principal,
    *,
    campaign_id: UUID,
    file_id: UUID,
    on_duplicate: OnDuplicate,
    mapping: ImportMapping | None,
    dry_run: bool,
) -> CampaignUpload:
    """An import of a file of the caller's, which begins as soon as the file is checked."""
    require_campaign(session, caller, campaign_id, lock=False, archived=False)
    statement = select(File).where(File.id == file_id, File.owner_id == caller.user_id)
    file = session.scalar(statement.with_for_update(key_share=True))
    if file is None:
        raise BadRequest.at("/file_id", "There is no file of yours with this id.")
    if file.purpose != "campaign_data":
        wrong = "The file was not uploaded with the purpose campaign_data. Upload it again with it."
        raise BadRequest("The input is not valid.", errors=[FieldError("/file_id", wrong)], next=_PRESIGN)
    if file.status == "rejected":
        raise BadRequest.at("/file_id", f"The file was rejected: {file.reason}")
    upload = _requested(session, caller, campaign_id, file, on_duplicate, mapping, dry_run)
    if file.status == "ready":
        send_after_commit(session, upload.id)
    return upload


def import_content(
    session: Session,
    caller: Principal,
    *,
    campaign_id: UUID,
    file_name: str,
    content_type: str,
    content: bytes,
    on_duplicate: OnDuplicate,
    mapping: ImportMapping | None,
    dry_run: bool,
) -> CampaignUpload:
    """An import of a small file that comes with the request. It is checked like any other, from the queue."""
    require_campaign(session, caller, campaign_id, lock=False, archived=False)
    if len(content) > MAX_DIRECT:
        raise ContentTooLarge(
            "Through the API 4 MB at most. Upload the file by a presigned form, then import it by its id.",
            next=_PRESIGN,
        )
    if not content:
        raise BadRequest.at("/file", "The file is empty.")
    declared = essence(content_type)
    if declared not in GENERIC and not PURPOSES["campaign_data"].accepts(declared) and "excel" not in declared:
        raise BadRequest.at("/file", f"{declared} is neither CSV nor an Excel workbook (.xlsx).")
    file_id: UUID = session.scalar(select(func.uuidv7()))  # type: ignore[assignment]
    file = File(
        id=file_id,
        owner_id=caller.user_id,
        file_name=file_name,
        bucket=settings().files_bucket,
        key=key_of(file_id),
        content_type=content_type,
        size=len(content),
        sha256=sha256_of(content),
        purpose="campaign_data",
        status="uploaded",
        uploaded_at=func.now(),
    )
    session.add(file)
    session.flush()
    upload = _requested(session, caller, campaign_id, file, on_duplicate, mapping, dry_run)
    store(file, content)
    return upload


def cancel(session: Session, caller: Principal, *, campaign_id: UUID, upload_id: UUID) -> CampaignUpload:
    """Break an import off; what is imported so far stays, and can be reverted. Repeatable."""
    upload = _locked(session, caller, campaign_id, upload_id)
    if upload.status == "cancelled":
        return upload
    if upload.status not in ("uploaded", "processing"):
        raise Conflict(f"The import is {upload.status}; only one that is under way can be cancelled.")
    upload.status, upload.lease_until, upload.processed_at = "cancelled", None, func.now()
    upload.touch()
    session.execute(delete(ContactStaging).where(ContactStaging.upload_id == upload_id))
    _record(session, upload, EventType.CAMPAIGN_UPLOAD_CANCELLED)
    if upload.rows_created and not upload.dry_run:
        contacts_came(session, campaign_id)
    return upload


def revert(session: Session, caller: Principal, *, campaign_id: UUID, upload_id: UUID) -> CampaignUpload:
    """Undo an import, all of it or nothing; 409 when somebody has worked on its contacts since. Repeatable.

    While another import into the campaign is under way, that too is a 409: it may be changing the same contacts.
    """
    require_campaign(session, caller, campaign_id)  # imports begin one after the other, and not before this is decided
    upload = _locked(session, caller, campaign_id, upload_id)
    if upload.status in ("reverting", "reverted"):
        return upload
    if upload.status not in ("processed", "failed", "cancelled") or upload.dry_run:
        what = "a dry run" if upload.dry_run else upload.status
        raise Conflict(f"The import is {what}; only one that has written contacts and is over can be undone.")
    connection = session.connection()
    if connection.exec_driver_sql(_IMPORTING, {"campaign": campaign_id}).scalar_one():
        raise Conflict("Another import into the campaign is under way. Wait for its end, or cancel it.")
    since = connection.exec_driver_sql(_CHANGED_SINCE, {"id": upload_id}).one()
    if since.by_people:
        raise Conflict(f"{since.by_people} of its contacts have been worked on since. Nothing is undone.")
    if since.by_imports:
        raise Conflict(
            f"{since.by_imports} of its contacts have been changed by a later import. Undo that one before.",
            next={"rel": "revert-later-import", "href": f"/campaigns/{campaign_id}/data/{since.newest}/revert"},
        )
    upload.status, upload.lease_until = "reverting", None
    upload.touch()
    send_after_commit(session, upload.id)
    return upload


def preview(session: Session, caller: Principal, *, campaign_id: UUID, file_id: UUID | None) -> Preview:
    """What an import would make of the beginning of a file."""
    id, stored, size = queries.table_file(session, caller, campaign_id, file_id)
    if stored.status != "ready":
        raise Conflict(f"The file is {stored.status}. Read it again when its status is ready.")
    source = S3File(stored.bucket, stored.key, stored.version_id, size)
    try:
        table = open_table(io.BufferedReader(source, _BUFFER), stored.detected_type)
        known = partial(mapping_of_list, session, campaign_id)
        columns, rows, _ = beginning(table, known, lenient=True)
    except UnreadableTableError as error:
        raise BadRequest.at("query/file_id", str(error)) from None
    fields = {at: name for name, at in columns.fields.items()}
    return Preview(
        file_id=id,
        table_format=table.format,
        header=columns.has_header,
        columns=[PreviewColumn(name=name, field=fields.get(at)) for at, name in enumerate(columns.columns)],
        rows=[[cell[:200].replace("\0", "\ufffd") for cell in columns.came(row.cells)] for row in rows[:PREVIEW_ROWS]],
    )


def _requested(
    session: Session,
    caller: Principal,
    campaign_id: UUID,
    file: File,
    on_duplicate: OnDuplicate,
    mapping: ImportMapping | None,
    dry_run: bool,
) -> CampaignUpload:
    upload = CampaignUpload(
        campaign_id=campaign_id,
        file_id=file.id,
        created_by=caller.user_id,
        on_duplicate=on_duplicate,
        mapping=mapping.model_dump(exclude_unset=True) if mapping else None,
        dry_run=dry_run,
    )
    session.add(upload)
    session.flush()
    _record(session, upload, EventType.CAMPAIGN_UPLOAD_REQUESTED, file_id=str(file.id), dry_run=dry_run)
    return upload


def _locked(session: Session, caller: Principal, campaign_id: UUID, upload_id: UUID) -> CampaignUpload:
    """The import. Whoever works on one of its contacts, or on it, is waited for."""
    require_campaign(session, caller, campaign_id, lock=False)
    statement = select(CampaignUpload).where(CampaignUpload.id == upload_id, CampaignUpload.campaign_id == campaign_id)
    upload = session.scalar(statement.with_for_update())
    if upload is None:
        raise NotFound
    return upload


def _record(session: Session, upload: CampaignUpload, type: EventType, **data: str | bool) -> None:
    scope = scope_of("campaign", upload.campaign_id)
    record(session, type, subject=upload.id, scope=scope, data={"campaign_id": str(upload.campaign_id), **data})
