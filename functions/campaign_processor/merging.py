"""A chunk's way into the database: COPY to the staging table, then one statement into the contacts."""

from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from functions.campaign_processor.claims import ClaimedUpload, LostError, VanishedRowsError
from quintet.config import settings
from quintet.db.session import writing
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.imports.contacts import COLUMNS

if TYPE_CHECKING:
    import psycopg

    from functions.campaign_processor.importing import Chunk

_LOCK = """
    SELECT progress FROM campaign_uploads
    WHERE id = %(id)s AND run = %(run)s AND chunk = %(chunk)s AND status = 'processing' FOR NO KEY UPDATE"""

_STAGED = f"""
    WITH staged AS (
        DELETE FROM contact_staging WHERE upload_id = %(id)s AND run = %(run)s AND chunk = %(chunk)s
        RETURNING line, {COLUMNS})"""

# Sorted by the key, so that two imports into one campaign lock rows in one order.
_MERGE = {
    "skip": f"""{_STAGED}, merged AS (
        INSERT INTO contacts (campaign_id, upload_id, {COLUMNS})
        SELECT DISTINCT ON (coalesce(email, phone) COLLATE "C") %(campaign)s, %(id)s, {COLUMNS}
        FROM staged ORDER BY coalesce(email, phone) COLLATE "C", line
        ON CONFLICT (campaign_id, match_key) DO NOTHING
        RETURNING 1)
        SELECT (SELECT count(*) FROM staged) AS staged, (SELECT count(*) FROM merged) AS created, 0 AS updated""",
    "update": f"""{_STAGED}, merged AS (
        INSERT INTO contacts AS c (campaign_id, upload_id, {COLUMNS})
        SELECT DISTINCT ON (coalesce(email, phone) COLLATE "C") %(campaign)s, %(id)s, {COLUMNS}
        FROM staged ORDER BY coalesce(email, phone) COLLATE "C", line DESC
        ON CONFLICT (campaign_id, match_key) DO UPDATE SET
            external_id = coalesce(excluded.external_id, c.external_id),
            full_name = coalesce(excluded.full_name, c.full_name),
            phone = coalesce(excluded.phone, c.phone),
            attributes = c.attributes || excluded.attributes,
            -- What this import made, it may go on making.
            version = c.version + (c.upload_id IS DISTINCT FROM excluded.upload_id)::int,
            updated_at = now()
        WHERE (coalesce(excluded.external_id, c.external_id), coalesce(excluded.full_name, c.full_name),
               coalesce(excluded.phone, c.phone), c.attributes || excluded.attributes)
            IS DISTINCT FROM (c.external_id, c.full_name, c.phone, c.attributes)
        RETURNING c.id, old.id IS NULL AS created, old.upload_id, new.version, jsonb_build_object(
            'external_id', old.external_id, 'full_name', old.full_name, 'phone', old.phone,
            'attributes', old.attributes) AS before),
        changes AS (
        INSERT INTO upload_changes AS k (upload_id, contact_id, before, version)
        SELECT %(id)s, id, before, version FROM merged WHERE NOT created AND upload_id IS DISTINCT FROM %(id)s
        ON CONFLICT (upload_id, contact_id) DO UPDATE SET version = excluded.version
        RETURNING old.upload_id IS NULL AS first)
        SELECT (SELECT count(*) FROM staged) AS staged, (SELECT count(*) FROM merged WHERE created) AS created,
               (SELECT count(*) FROM changes WHERE first) AS updated""",
}

_UNSTAGE = "DELETE FROM contact_staging WHERE upload_id = %(id)s AND run = %(run)s"

_COUNT_STAGED = """
    SELECT count(*) AS staged, 0 AS created, 0 AS updated FROM contact_staging
    WHERE upload_id = %(id)s AND run = %(run)s AND chunk = %(chunk)s"""

_CHECKPOINT = """
    UPDATE campaign_uploads SET
        chunk = chunk + 1, rows_total = rows_total + %(rows)s, rows_created = rows_created + %(created)s,
        rows_updated = rows_updated + %(updated)s, rows_duplicate = rows_duplicate + %(duplicate)s,
        rows_invalid = rows_invalid + %(invalid)s, progress = greatest(progress, least(%(progress)s, 0.99)),
        lease_until = now() + make_interval(secs => %(lease)s), updated_at = now(), version = version + 1
    WHERE id = %(id)s"""


def stage(chunk: "Chunk") -> None:
    """COPY a chunk's rows to the staging table."""
    with writing() as session:
        cursor = _driver(session).cursor()
        with cursor.copy(f"COPY contact_staging (upload_id, run, chunk, line, {COLUMNS}) FROM STDIN") as copy:
            for block in chunk.blocks:
                copy.write(block)
    chunk.blocks.clear()


def unstage(upload: ClaimedUpload) -> None:
    """Remove what this run has staged."""
    with writing() as session:
        session.connection().exec_driver_sql(_UNSTAGE, {"id": upload.id, "run": upload.run})


def merge(upload: ClaimedUpload, chunk: "Chunk") -> None:
    """Make contacts of a staged chunk, keep its failures, and count: one transaction. LostError if it is not ours."""
    key = {"id": upload.id, "run": upload.run, "chunk": chunk.number, "campaign": upload.campaign_id}
    with writing() as session:
        connection = session.connection()
        before = connection.exec_driver_sql(_LOCK, key).scalar_one_or_none()
        if before is None:
            raise LostError
        statement = _COUNT_STAGED if upload.dry_run else _MERGE[upload.on_duplicate]
        counts = connection.exec_driver_sql(statement, key).one()
        if counts.staged != chunk.valid:
            raise VanishedRowsError(f"{counts.staged} rows of {chunk.valid} are staged")
        if chunk.failures:
            _keep(session, upload, chunk)
        numbers = {
            "rows": chunk.rows,
            "created": counts.created,
            "updated": counts.updated,
            # Of a dry run they are counted at its end.
            "duplicate": 0 if upload.dry_run else counts.staged - counts.created - counts.updated,
            "invalid": len(chunk.failures),
            "progress": chunk.progress,
            "lease": settings().import_lease_seconds,
        }
        connection.exec_driver_sql(_CHECKPOINT, {**key, **numbers})
        if int(chunk.progress * 10) > int(before * 10):
            data = {"campaign_id": str(upload.campaign_id), "percent": int(chunk.progress * 10) * 10}
            scope = scope_of("campaign", upload.campaign_id)
            record(session, EventType.CAMPAIGN_UPLOAD_PROGRESSED, subject=upload.id, scope=scope, data=data)


def _keep(session: Session, upload: ClaimedUpload, chunk: "Chunk") -> None:
    copy_rows = _driver(session).cursor().copy("COPY upload_failures (upload_id, line, reason, cells) FROM STDIN")
    with copy_rows as copy:
        for line, reason, cells in chunk.failures:
            copy.write_row((upload.id, line, reason, [cell.replace("\0", "\ufffd") for cell in cells]))


def _driver(session: Session) -> "psycopg.Connection[Any]":
    connection: psycopg.Connection[Any] = session.connection().connection.driver_connection  # type: ignore[assignment]
    return connection
