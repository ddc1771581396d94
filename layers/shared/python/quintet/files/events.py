"""What is recorded of files."""

from sqlalchemy.orm import Session

from quintet.db.models.files import File
from quintet.events.record import Happening, record_all, scope_of
from quintet.events.types import EventType


def scope_of_file(file: File) -> str:
    """Who may read what happens to a file: its project's readers, or its owner."""
    return scope_of("project", file.project_id) if file.project_id else scope_of("user", file.owner_id)


def record_removed(session: Session, *files: File) -> None:
    """Record that these files' rows go in this transaction.

    With each goes, as a delivery that is repeated until it is done, the order to delete the object: a crash at any
    moment leaves neither a row without an object nor an object for ever.
    """
    record_all(session, [Happening(EventType.FILE_REMOVED, f.id, scope_of_file(f), _where(f)) for f in files])


def _where(file: File) -> dict[str, str | None]:
    return {"bucket": file.bucket, "key": file.key, "upload_id": file.upload_id}
