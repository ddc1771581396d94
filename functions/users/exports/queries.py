"""The SQL of exports."""

from sqlalchemy.orm import Session

from functions.users.exports.schemas import ExportRead
from quintet.db.json import Versioned, columns_of, one
from quintet.db.reads import rows
from quintet.errors import Conflict, Gone, NotFound
from quintet.files.links import Stored
from quintet.identity.principal import Principal

_LATEST = "FROM exports e WHERE e.user_id = %(caller)s ORDER BY e.id DESC LIMIT 1"
_READ = f"SELECT {columns_of(ExportRead, 'e')} {_LATEST}"
_STORED = f"SELECT e.status, e.bucket, e.key, e.version_id, e.created_at, e.expires_at < now() AS over {_LATEST}"


def read_export(session: Session, caller: Principal) -> Versioned:
    """The caller's latest export; 404 when they never asked for one."""
    return one(session, _READ, {"caller": caller.user_id})


def stored_export(session: Session, caller: Principal) -> Stored:
    """Where its archive is; 409 while that is not ready, 410 when it is no more."""
    found = rows(session, _STORED, {"caller": caller.user_id})
    if not found:
        raise NotFound
    [row] = found
    if row.status == "expired" or row.over:
        raise Gone("The archive was kept for a week. Ask for a new one.")
    if row.status == "failed":
        raise Conflict("The archive could not be made. Ask for a new one.")
    if row.status != "ready":
        raise Conflict("The archive is not ready yet. Read the export again until its status is ready.")
    name = f"quintet-{row.created_at:%Y-%m-%d}.zip"
    return Stored("ready", row.bucket, row.key, row.version_id, name, "application/zip")
