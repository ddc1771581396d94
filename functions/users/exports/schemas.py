"""Bodies of exports."""

from uuid import UUID

from pydantic import Field

from quintet.db.models.exports import ExportStatus
from quintet.http.schemas import Output, Timestamp


class ExportRead(Output):
    """An archive of the caller's data; when it is `ready`, it is at `/users/me/export/content`."""

    id: UUID
    status: ExportStatus
    size: int | None = Field(description="Bytes.")
    created_at: Timestamp
    finished_at: Timestamp | None
    expires_at: Timestamp | None
    version: int
