"""The rules of files that are there: rename, move, delete."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from functions.files.access import locked_file, place_for
from functions.files.stored.schemas import FileUpdate
from quintet.db.models.files import File
from quintet.errors import Forbidden
from quintet.events.record import record
from quintet.events.types import EventType
from quintet.files.events import record_removed, scope_of_file
from quintet.identity.principal import Principal


def update_file(
    session: Session, caller: Principal, *, file_id: UUID, change: FileUpdate, expected: frozenset[int] | None
) -> File:
    """Rename, or move to another folder or project; for editors of both, and only its owner takes it private."""
    file = locked_file(session, caller, file_id, at_least="editor")
    file.require_version(expected)
    before = scope_of_file(file)
    changed = file.apply(_placed(session, caller, file, change.changes()))
    if changed:
        for readers in sorted({before, scope_of_file(file)}):  # those it leaves, and those it comes to
            record(session, EventType.FILE_UPDATED, subject=file.id, scope=readers, data={"fields": changed})
    return file


def _placed(session: Session, caller: Principal, file: File, changes: dict[str, Any]) -> dict[str, Any]:
    """The changes, with project and folder as they are to be when the file moves."""
    if changes.keys().isdisjoint({"project_id", "folder_id"}):
        return changes
    project_id = changes.get("project_id", file.project_id)
    if project_id is None and file.project_id is not None and file.owner_id != caller.user_id:
        raise Forbidden("Only the file's owner may take it out of its project.")
    place = place_for(session, caller, project_id=project_id, folder_id=changes.get("folder_id"))
    return {**changes, "project_id": place.project_id, "folder_id": place.folder_id}


def delete_file(session: Session, caller: Principal, *, file_id: UUID, expected: frozenset[int] | None = None) -> None:
    """Delete a file for good; for its owner and the project's editors."""
    file = locked_file(session, caller, file_id, at_least="editor", owner_may=True)
    file.require_version(expected)
    session.delete(file)
    record_removed(session, file)
