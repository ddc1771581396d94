"""What several functions know of exports."""

from datetime import timedelta
from uuid import UUID

from quintet.events.record import Happening, scope_of
from quintet.events.types import EventType

PREFIX = "exports/"
"""What the keys of their objects begin with."""

KEPT = timedelta(days=7)
"""How long an archive can be had."""


def key_of(export_id: UUID) -> str:
    """The key of an export's object."""
    return f"{PREFIX}{export_id}.zip"


def removed_export(export_id: UUID, user_id: UUID, bucket: str, key: str, upload_id: str | None) -> Happening:
    """That an archive is to go: the order to delete its object, repeated until that is done."""
    data = {"bucket": bucket, "key": key, "upload_id": upload_id}
    return Happening(EventType.EXPORT_REMOVED, export_id, scope_of("user", user_id), data)
