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

_FIELDS = ("external_id", "full_name", "phone")
"""What an update may change, apart from the attributes."""


def updated(by: str) -> str:
    """SQL: what a contact `c` has when it is updated by a row; what that leaves empty stays."""
    fields = ", ".join(f"coalesce({by}.{name}, c.{name})" for name in _FIELDS)
    return f"({fields}, c.attributes || {by}.attributes)"


def differs(by: str) -> str:
    """SQL: whether that changes anything."""
    return f"{updated(by)} IS DISTINCT FROM ({', '.join(f'c.{name}' for name in _FIELDS)}, c.attributes)"


def folded(source: str, *by: str) -> str:
    """SQL: the lines of `source` for one contact (and each `by`) as one, as if they were merged one after the other.

    So it makes no difference where chunks begin. Sorted by the key.
    """
    last = ", ".join(
        f"(array_agg({name} ORDER BY line) FILTER (WHERE {name} IS NOT NULL))[count({name})] AS {name}"
        for name in _FIELDS
    )
    together = """CASE WHEN cardinality(every) = 1 THEN every[1] ELSE (
        SELECT coalesce(jsonb_object_agg(key, value ORDER BY at), '{}')
        FROM unnest(every) WITH ORDINALITY AS one(attributes, at), jsonb_each(attributes)) END AS attributes"""
    keys = ", ".join((*by, 'coalesce(email, phone) COLLATE "C"'))
    columns = ", ".join((*by, "match_key", "line", "email", *_FIELDS))
    return f"""
        SELECT {columns}, {together} FROM (
            SELECT {keys} AS match_key, max(line) AS line, any_value(email) AS email, {last},
                   array_agg(attributes ORDER BY line) AS every
            FROM {source} GROUP BY {keys}) AS grouped
        ORDER BY match_key"""


def _state(which: str) -> str:
    pairs = ", ".join(f"'{name}', {which}.{name}" for name in (*_FIELDS, "attributes"))
    return f"jsonb_build_object({pairs})"


# Sorted by the key, so that two imports into one campaign lock rows in one order.
_MERGE = {
    "skip": f"""{_STAGED}, merged AS (
        INSERT INTO contacts (campaign_id, upload_id, {COLUMNS})
        SELECT DISTINCT ON (coalesce(email, phone) COLLATE "C") %(campaign)s, %(id)s, {COLUMNS}
        FROM staged ORDER BY coalesce(email, phone) COLLATE "C", line
        ON CONFLICT (campaign_id, match_key) DO NOTHING
        RETURNING 1)
        SELECT (SELECT count(*) FROM staged) AS staged, (SELECT count(*) FROM merged) AS created, 0 AS updated""",
    # A contact that this import changes back is not one that it has changed.
    "update": f"""{_STAGED}, merged AS (
        INSERT INTO contacts AS c (campaign_id, upload_id, {COLUMNS})
        SELECT %(campaign)s, %(id)s, {COLUMNS} FROM ({folded("staged")}) AS lines
        ON CONFLICT (campaign_id, match_key) DO UPDATE SET
            ({", ".join(_FIELDS)}, attributes) = ROW {updated("excluded")},
            -- What this import made, it may go on making.
            version = c.version + (c.upload_id IS DISTINCT FROM excluded.upload_id)::int,
            updated_at = now()
        WHERE {differs("excluded")}
        RETURNING c.id, old.id IS NULL AS created, old.upload_id, new.version,
                  {_state("old")} AS before, {_state("new")} AS after),
        back AS (
        DELETE FROM upload_changes k USING merged m
        WHERE k.upload_id = %(id)s AND k.contact_id = m.id AND k.before = m.after
        RETURNING k.contact_id),
        changes AS (
        INSERT INTO upload_changes AS k (upload_id, contact_id, before, version)
        SELECT %(id)s, id, before, version FROM merged
        WHERE NOT created AND upload_id IS DISTINCT FROM %(id)s AND id NOT IN (SELECT contact_id FROM back)
        ON CONFLICT (upload_id, contact_id) DO UPDATE SET version = excluded.version
        RETURNING old.upload_id IS NULL AS first)
        SELECT (SELECT count(*) FROM staged) AS staged, (SELECT count(*) FROM merged WHERE created) AS created,
               (SELECT count(*) FROM changes WHERE first) - (SELECT count(*) FROM back) AS updated""",
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
