"""How an import begins and how it ends: processed or failed, in either case with the rows that were not taken."""

from typing import Any

from sqlalchemy.orm import Session

from functions.campaign_processor.claims import ClaimedUpload, LostError, VanishedRowsError
from functions.campaign_processor.failed_rows import write_list
from functions.campaign_processor.merging import differs, folded
from quintet.db.session import writing
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.imports.contacts import COLUMNS
from quintet.imports.mapping import ColumnMap
from quintet.imports.uploads import contacts_came

_BEGIN = """
    UPDATE campaign_uploads SET mapping = coalesce(mapping, '{}') || %(mapping)s, table_format = %(format)s
    WHERE id = %(id)s AND run = %(run)s AND status = 'processing'
    RETURNING old.table_format IS NULL AS first"""

_BEGIN_AGAIN = """
    UPDATE campaign_uploads SET
        chunk = 0, rows_total = 0, rows_created = 0, rows_updated = 0, rows_duplicate = 0, rows_invalid = 0
    WHERE id = %(id)s AND run = %(run)s AND status = 'processing'"""

_LOCK = """
    SELECT rows_total, rows_created, rows_updated, rows_duplicate, rows_invalid FROM campaign_uploads
    WHERE id = %(id)s AND run = %(run)s AND status = 'processing' FOR NO KEY UPDATE"""

_END = """
    UPDATE campaign_uploads SET
        status = %(status)s, reason = %(reason)s, lease_until = NULL, processed_at = now(), updated_at = now(),
        progress = CASE %(status)s WHEN 'processed' THEN 1 ELSE progress END,
        failed_rows_file = %(failed_rows_file)s, version = version + 1,
        rows_created = %(rows_created)s, rows_updated = %(rows_updated)s, rows_duplicate = %(rows_duplicate)s
    WHERE id = %(id)s"""

# Of a dry run nothing was merged; its rows are all staged. A chunk that was staged by two runs is there twice.
# Chunk by chunk first: of one contact there may be more lines than fit in memory.
_WOULD_BE = f"""
    WITH staged AS (SELECT chunk, line, {COLUMNS} FROM contact_staging WHERE upload_id = %(id)s),
         chunks AS ({folded("staged", "chunk")}),
         lines AS ({folded("chunks")})
    SELECT count(*) FILTER (WHERE c.id IS NULL) AS created,
           count(*) FILTER (WHERE c.id IS NOT NULL AND {differs("n")}) AS differ,
           (SELECT count(DISTINCT line) FROM staged) AS staged
    FROM lines n LEFT JOIN contacts c ON c.campaign_id = %(campaign)s AND c.match_key = n.match_key"""


def begin(upload: ClaimedUpload, columns: ColumnMap, table_format: dict[str, Any]) -> None:
    """Write down what was found out about the table; the first time it is an event."""
    from psycopg.types.json import Jsonb

    described = Jsonb(columns.described())
    with writing() as session:
        begun = session.connection().exec_driver_sql(
            _BEGIN, {"id": upload.id, "run": upload.run, "mapping": described, "format": Jsonb(table_format)}
        )
        if begun.scalar_one_or_none():
            _record(session, upload, EventType.CAMPAIGN_UPLOAD_STARTED)


def begin_again(upload: ClaimedUpload) -> None:
    """Forget what a dry run has found so far."""
    with writing() as session:
        connection, key = session.connection(), {"id": upload.id, "run": upload.run}
        if connection.exec_driver_sql(_BEGIN_AGAIN, key).rowcount:
            for table in ("contact_staging", "upload_failures"):
                connection.exec_driver_sql(f"DELETE FROM {table} WHERE upload_id = %(id)s", key)


def finish(upload: ClaimedUpload) -> None:
    """The end of the file: counts are final, and whoever uploaded it is told.

    Raises VanishedRowsError when the staged rows of a dry run, which are what it counts, are not all there.
    """
    _end(upload, "processed")


def fail(upload: ClaimedUpload, reason: str) -> None:
    """The file cannot be read (any further)."""
    _end(upload, "failed", reason=reason)


def _end(upload: ClaimedUpload, status: str, *, reason: str | None = None) -> None:
    file = write_list(upload.id, upload.created_by)
    key = {"id": upload.id, "run": upload.run, "campaign": upload.campaign_id}
    with writing() as session:
        connection = session.connection()
        row = connection.exec_driver_sql(_LOCK, key).mappings().one_or_none()
        if row is None:
            raise LostError
        counts = dict(row)
        if upload.dry_run and status == "processed":
            counts |= _would_be(session, upload, counts)
        connection.exec_driver_sql("DELETE FROM contact_staging WHERE upload_id = %(id)s", key)
        if file is not None:
            session.add(file)
            session.flush()
        end = {"status": status, "reason": reason, "failed_rows_file": file.id if file else None}
        connection.exec_driver_sql(_END, {**key, **counts, **end})
        type = EventType.CAMPAIGN_UPLOAD_FINISHED if status == "processed" else EventType.CAMPAIGN_UPLOAD_FAILED
        _record(session, upload, type, **counts)
        if counts["rows_created"] and not upload.dry_run:
            contacts_came(session, upload.campaign_id)


def _would_be(session: Session, upload: ClaimedUpload, counts: dict[str, int]) -> dict[str, int]:
    """What an import would have created, updated and left out."""
    found = session.connection().exec_driver_sql(_WOULD_BE, {"id": upload.id, "campaign": upload.campaign_id}).one()
    valid = counts["rows_total"] - counts["rows_invalid"]
    if found.staged != valid:
        raise VanishedRowsError(f"{found.staged} rows of {valid} are staged")
    updated = found.differ if upload.on_duplicate == "update" else 0
    duplicate = valid - found.created - updated
    return {"rows_created": found.created, "rows_updated": updated, "rows_duplicate": duplicate}


def _record(session: Session, upload: ClaimedUpload, type: EventType, **counts: int) -> None:
    data = {"campaign_id": str(upload.campaign_id), "dry_run": upload.dry_run, **counts}
    scope = scope_of("campaign", upload.campaign_id)
    record(session, type, subject=upload.id, scope=scope, data=data, actor_id=upload.created_by)
