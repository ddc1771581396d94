"""Bodies of files."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from functions.files.fields import FILE_ALIASES, Name
from quintet.db.models.files import FilePurpose, FileStatus
from quintet.http.schemas import Output, Timestamp, Update


class FileUpdate(Update):
    """The fields to change. Null takes the file out of its folder, or out of its project."""

    aliases: ClassVar = FILE_ALIASES

    file_name: Name = ""
    project_id: UUID | None = None
    folder_id: UUID | None = None


class FileRead(Output):
    """A file: pending (not arrived), uploaded (being checked), ready, or rejected for a `reason`."""

    id: UUID
    owner_id: UUID
    project_id: UUID | None
    folder_id: UUID | None
    file_name: str
    purpose: FilePurpose
    status: FileStatus
    reason: str | None = Field(description="Why the file was rejected.")
    size: int = Field(description="Bytes.")
    content_type: str = Field(description="As declared by the uploader.")
    detected_type: str | None = Field(description="As the content says; known once the file is ready.")
    sha256: str | None
    uploaded_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class FileDetail(FileRead):
    """A file, with a link to its content while it is ready."""

    download_url: str | None
    download_expires_at: Timestamp | None


class PresignedDownload(Output):
    """A link to a file's content."""

    file_id: UUID
    url: str
    method: Literal["GET"] = "GET"
    expires_at: Timestamp
