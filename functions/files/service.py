"""The rules of files that are there: rename, move, delete."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.files.access import locked_file, place_for, scope
from functions.files.schemas import FileUpdate
from quintet.db.models import File
from quintet.errors import Conflict, Forbidden
from quintet.events.record import record
from quintet.events.types import EventType
from quintet.http.conditional import check_version
from quintet.identity.principal import Principal


def update_file(
    session: Session, caller: Principal, *, file_id: UUID, change: FileUpdate, if_match: str | None
) -> File:
    """Rename, or move to another folder or project; for editors of both, and only its owner takes it private."""
    file = locked_file(session, caller, file_id, at_least="editor")
    check_version(if_match, file.version)
    changes = change.changes()
    before = scope(file)
    if "file_name" in changes:
        file.file_name = changes["file_name"]
    if "project_id" in changes or "folder_id" in changes:
        _move(session, caller, file, changes)
    file.touch()
    for readers in sorted({before, scope(file)}):  # those it leaves, and those it comes to
        record(session, EventType.FILE_UPDATED, subject=file.id, scope=readers, data={"fields": sorted(changes)})
    return file


def _move(session: Session, caller: Principal, file: File, changes: dict[str, UUID | None]) -> None:
    project_id = changes.get("project_id", file.project_id)
    if project_id is None and file.project_id is not None and file.owner_id != caller.user_id:
        raise Forbidden("Only the file's owner may take it out of its project.")
    place = place_for(session, caller, project_id=project_id, folder_id=changes.get("folder_id"))
    file.project_id, file.folder_id = place.project_id, place.folder_id


def remove_file(session: Session, caller: Principal, *, file_id: UUID, if_match: str | None = None) -> None:
    """Delete a file for good; for its owner and the project's editors.

    The row goes in this transaction, and with it, as a delivery that is repeated until it is done, the order to
    delete the object: a crash at any moment leaves neither a row without an object nor an object for ever.
    """
    file = locked_file(session, caller, file_id, at_least="editor", owner_may=True)
    check_version(if_match, file.version)
    _remove(session, file)


def abort_upload(session: Session, caller: Principal, *, file_id: UUID) -> None:
    """Give up a multipart upload that is under way; the file goes with it."""
    file = locked_file(session, caller, file_id, at_least="editor", owner_may=True)
    if file.upload_id is None or file.status != "pending":
        raise Conflict("No multipart upload is under way for this file. Delete the file to be rid of it.")
    _remove(session, file)


def _remove(session: Session, file: File) -> None:
    session.delete(file)
    data = {"bucket": file.bucket, "key": file.key, "upload_id": file.upload_id}
    record(session, EventType.FILE_REMOVED, subject=file.id, scope=scope(file), data=data)
