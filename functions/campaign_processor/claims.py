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

_CLAIM = """
    UPDATE campaign_uploads u
    SET run = u.run + 1, lease_until = now() + make_interval(secs => %(lease)s),
        started_at = coalesce(u.started_at, now()),
        status = CASE u.status WHEN 'uploaded' THEN 'processing' ELSE u.status END, version = u.version + 1
    FROM campaigns c, files f
    WHERE u.id = %(id)s AND c.id = u.campaign_id AND f.id = u.file_id AND f.status = 'ready'
      AND u.status IN ('uploaded', 'processing', 'reverting')
      AND (u.lease_until IS NULL OR u.lease_until <= now())
    RETURNING u.id, u.campaign_id, u.created_by, u.status, u.run, u.chunk, u.rows_total, u.dry_run, u.on_duplicate,
              u.mapping, c.default_country, f.bucket, f.key, f.version_id, f.size, f.detected_type"""

_RENEW = """
    UPDATE campaign_uploads SET lease_until = now() + make_interval(secs => %(lease)s)
    WHERE id = %(id)s AND run = %(run)s AND status IN ('processing', 'reverting')"""

_RELEASE = "UPDATE campaign_uploads SET lease_until = now() WHERE id = %(id)s AND run = %(run)s"


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
        row = session.connection().exec_driver_sql(_CLAIM, params).mappings().one_or_none()
    return ClaimedUpload(**row) if row else None


def release(claimed: ClaimedUpload, *, again: bool) -> None:
    """Give it back, so that it can be taken at once; `again`: through the queue. The dispatcher sends it otherwise."""
    try:
        with writing() as session:
            session.connection().exec_driver_sql(_RELEASE, {"id": claimed.id, "run": claimed.run})
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
