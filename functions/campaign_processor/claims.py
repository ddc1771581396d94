"""Who works on an upload: one process at a time, for as long as it shows that it is alive."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from quintet.config import settings
from quintet.db.session import writing
from quintet.imports.uploads import send_after_commit
from quintet.observability import logger

MAX_RUNS = 200
"""After so many beginnings an import is given up: whatever stops it will stop it again."""

# A campaign is imported into, or an import into it is undone: whichever is asked for first.
_LOCK_CAMPAIGN = """
    SELECT c.id FROM campaigns c JOIN campaign_uploads u ON u.campaign_id = c.id
    WHERE u.id = %(id)s FOR NO KEY UPDATE OF c"""

_CLAIM = """
    UPDATE campaign_uploads u
    SET run = u.run + 1, lease_until = now() + make_interval(secs => %(lease)s),
        started_at = coalesce(u.started_at, now()),
        status = CASE u.status WHEN 'uploaded' THEN 'processing' ELSE u.status END, version = u.version + 1
    FROM campaigns c, campaign_uploads same LEFT JOIN files f ON f.id = same.file_id
    WHERE u.id = %(id)s AND same.id = u.id AND c.id = u.campaign_id
      AND (u.status = 'reverting' OR u.file_id IS NULL OR f.status = 'ready')
      AND u.status IN ('uploaded', 'processing', 'reverting')
      AND (u.status = 'reverting' OR u.dry_run OR NOT EXISTS (
          SELECT FROM campaign_uploads r WHERE r.campaign_id = u.campaign_id AND r.status = 'reverting'))
      AND (u.lease_until IS NULL OR u.lease_until <= now())
    RETURNING u.id, u.campaign_id, u.created_by, u.status, u.run, u.chunk, u.rows_total, u.dry_run, u.on_duplicate,
              u.mapping, c.default_country, coalesce(f.bucket, '') AS bucket, coalesce(f.key, '') AS key,
              f.version_id, coalesce(f.size, 0) AS size, f.detected_type"""

_RENEW = """
    UPDATE campaign_uploads SET lease_until = now() + make_interval(secs => %(lease)s)
    WHERE id = %(id)s AND run = %(run)s AND status IN ('processing', 'reverting')"""

# What fails again and again is tried less and less often.
_RELEASE = """
    UPDATE campaign_uploads
    SET lease_until = now() + CASE WHEN %(again)s THEN interval '0' ELSE least(run, 60) * interval '10 seconds' END
    WHERE id = %(id)s AND run = %(run)s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedUpload:
    """An upload that is ours while `run` is its newest run."""

    id: UUID
    campaign_id: UUID
    created_by: UUID
    status: str
    run: int
    chunk: int
    rows_total: int
    dry_run: bool
    on_duplicate: str
    mapping: dict[str, Any] | None
    default_country: str | None
    bucket: str
    """Empty when the file was deleted."""
    key: str
    version_id: str | None
    size: int
    detected_type: str | None


class LostError(Exception):
    """Somebody else has the upload now, or it was cancelled."""


class VanishedRowsError(Exception):
    """Staged rows are gone: the staging table is empty after a crash of the database. They are read again."""


def claim(upload_id: UUID) -> ClaimedUpload | None:
    """Take the upload; None when there is nothing to do, or somebody is doing it."""
    params = {"id": upload_id, "lease": settings().import_lease_seconds}
    with writing() as session:
        connection = session.connection()
        connection.exec_driver_sql(_LOCK_CAMPAIGN, params)
        row = connection.exec_driver_sql(_CLAIM, params).mappings().one_or_none()
    return ClaimedUpload(**row) if row else None


def release(claimed: ClaimedUpload, *, again: bool) -> None:
    """Give it back; `again`: to be taken from the queue at once. Otherwise the dispatcher sends it a little later."""
    try:
        with writing() as session:
            session.connection().exec_driver_sql(_RELEASE, {"id": claimed.id, "run": claimed.run, "again": again})
            if again:
                send_after_commit(session, claimed.id)
    except Exception:  # the lease will run out
        logger.warning("An upload could not be given back.", upload_id=str(claimed.id), exc_info=True)


@contextmanager
def kept(claimed: ClaimedUpload) -> Iterator[None]:
    """Renew the lease while inside: reading a large workbook's texts alone takes longer than one."""
    stop, seconds = threading.Event(), settings().import_lease_seconds
    params = {"id": claimed.id, "run": claimed.run, "lease": seconds}

    def renew() -> None:
        while not stop.wait(seconds / 3):
            try:
                with writing() as session:
                    session.connection().exec_driver_sql(_RENEW, params)
            except Exception:
                logger.warning("A lease could not be renewed.", upload_id=str(claimed.id), exc_info=True)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
