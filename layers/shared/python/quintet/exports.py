"""What several functions know of exports."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, update
from sqlalchemy.orm import Session

from quintet.db.models.exports import Export
from quintet.events.record import Happening, record_all, scope_of
from quintet.events.types import EventType

PREFIX = "exports/"
"""What the keys of their objects begin with."""

KEPT = timedelta(days=7)
"""How long an archive can be had."""

UNDER_WAY = ("queued", "running")
GIVEN_UP = timedelta(days=1)
"""How long is tried to make one; there is no second meanwhile."""


def key_of(export_id: UUID) -> str:
    """The key of an export's object."""
    return f"{PREFIX}{export_id}.zip"


def removed_export(export_id: UUID, user_id: UUID, bucket: str, key: str, upload_id: str | None) -> Happening:
    """That an archive is to go: the order to delete its object, repeated until that is done."""
    data = {"bucket": bucket, "key": key, "upload_id": upload_id}
    return Happening(EventType.EXPORT_REMOVED, export_id, scope_of("user", user_id), data)


def give_up(session: Session, *which: ColumnElement[bool]) -> None:
    """Of these exports, those that were not made in a day have failed, and what there is of them goes."""
    failed = session.scalars(
        update(Export)
        .where(Export.status.in_(UNDER_WAY), Export.created_at < func.now() - GIVEN_UP, *which)
        .values(status="failed", version=Export.version + 1)
        .returning(Export),
        execution_options={"synchronize_session": False},
    ).all()
    record_all(session, [removed_export(e.id, e.user_id, e.bucket, e.key, e.upload_id) for e in failed])


def remove_exports(session: Session, user_id: UUID) -> None:
    """Remove all of an account's exports, and have their objects deleted."""
    gone = session.scalars(delete(Export).where(Export.user_id == user_id).returning(Export)).all()
    record_all(session, [removed_export(e.id, user_id, e.bucket, e.key, e.upload_id) for e in gone])
