"""Bodies of folders and files."""

import base64
import binascii
import re
import unicodedata
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from quintet.http.schemas import Input, Output, Timestamp, Update, text

Purpose = Literal["asset", "attachment", "campaign_data"]
Status = Literal["pending", "uploaded", "ready", "rejected"]
Root = Literal["root"]
"""In a filter: in no folder."""

MAX_PARTS = 10_000
"""S3's limit for one multipart upload."""
MAX_LINKS = 100
"""Part links signed at once."""

_BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Turn the writing direction: `exe.gpj` would read as `jpg.exe`."""
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf'{_TOKEN}/{_TOKEN}(?:\s*;\s*{_TOKEN}=(?:{_TOKEN}|"[^"\\]*"))*')


def _name(value: str) -> str:
    if any(c in "/\\" for c in value) or value in (".", ".."):
        raise ValueError("a name has no / or \\ and is not . or ..")
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _BIDI for c in value):
        raise ValueError("a name has no control characters")
    if len(value.encode()) > 255:
        raise ValueError("a name has 255 bytes at most, in UTF-8")
    return value


def _media_type(value: str) -> str:
    if not _MEDIA_TYPE.fullmatch(value):
        raise ValueError("send a media type such as image/png")
    return value


def _not_empty(value: Any) -> Any:
    if value in (0, "0"):
        raise ValueError("an empty file cannot be uploaded; send the size of its content in bytes")
    return value


def _checksum(size: int) -> AfterValidator:
    def check(value: str) -> str:
        try:
            raw = bytes.fromhex(value) if len(value) == 2 * size else base64.b64decode(value, validate=True)
        except (ValueError, binascii.Error):
            raw = b""
        if len(raw) != size:
            raise ValueError(f"send the {size} bytes of the checksum in base64 (a + in a query is %2B) or hex")
        return base64.b64encode(raw).decode()

    return AfterValidator(check)


Name = Annotated[str, text(255, min_length=1), AfterValidator(_name)]
MediaType = Annotated[str, text(255, min_length=3), AfterValidator(_media_type)]
Size = Annotated[int, Field(ge=1, le=2**50, description="Bytes."), BeforeValidator(_not_empty)]
Sha256 = Annotated[
    str,
    text(64, min_length=44),
    _checksum(32),
    Field(description="SHA-256 of the content, base64 or hex."),
]
Crc64Nvme = Annotated[
    str,
    text(16, min_length=12),
    _checksum(8),
    Field(description="CRC-64/NVME of the whole content, base64 or hex."),
]

_FOLDER_ALIASES = {"project_id": ("projectId",), "parent_id": ("parentId",)}
_FILE_ALIASES = {
    "file_name": ("fileName", "name"),
    "content_type": ("contentType",),
    "project_id": ("projectId",),
    "folder_id": ("folderId",),
}


class FolderCreate(Input):
    """A new folder, at the top of its project or in another folder."""

    aliases: ClassVar = _FOLDER_ALIASES

    project_id: UUID
    parent_id: UUID | None = None
    name: Name


class FolderUpdate(Update):
    """The fields to change; a `parent_id` of null moves the folder to the top of its project."""

    aliases: ClassVar = {"parent_id": ("parentId",)}

    name: Name = ""
    parent_id: UUID | None = None


class FolderRead(Output):
    """A folder of a project."""

    id: UUID
    project_id: UUID
    parent_id: UUID | None
    name: str
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class FileCreate(Input):
    """A file about to be uploaded: what it is, and where it goes."""

    aliases: ClassVar = _FILE_ALIASES

    file_name: Name
    size: Annotated[Size, Strict()]
    content_type: MediaType = "application/octet-stream"
    project_id: UUID | None = Field(None, description="Without it the file is yours alone.")
    folder_id: UUID | None = None
    purpose: Purpose = "asset"


class FileUpdate(Update):
    """The fields to change. Null takes the file out of its folder, or out of its project."""

    aliases: ClassVar = {key: _FILE_ALIASES[key] for key in ("file_name", "project_id", "folder_id")}

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
    purpose: Purpose
    status: Status
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


class PresignedUpload(Output):
    """A form to send to S3 as multipart/form-data: all `fields`, then the content as the field `file`, last."""

    file_id: UUID
    url: str
    method: Literal["POST"] = "POST"
    fields: dict[str, str]
    expires_at: Timestamp


class PresignedDownload(Output):
    """A link to a file's content."""

    file_id: UUID
    url: str
    method: Literal["GET"] = "GET"
    expires_at: Timestamp


class MultipartRead(Output):
    """A multipart upload under way: every part but the last has `part_size` bytes."""

    file_id: UUID
    part_size: int
    part_count: int
    checksum: Literal["CRC64NVME"] = Field("CRC64NVME", description="Of the whole object; S3 computes it.")


PartNumber = Annotated[int, Strict(), Field(ge=1, le=MAX_PARTS)]


class PartRange(Input):
    """The parts to sign links for, both ends included; 100 at most."""

    first: PartNumber
    last: PartNumber


class PartLink(Output):
    """Send exactly `size` bytes with PUT and keep the ETag of the answer."""

    part_number: int
    url: str
    size: int


class PartLinks(Output):
    """Links for the parts asked for."""

    items: list[PartLink]
    method: Literal["PUT"] = "PUT"
    expires_at: Timestamp


class PartRead(Output):
    """A part that has arrived."""

    part_number: int
    etag: str
    size: int


class PartDone(Input):
    """A part to put into the object."""

    part_number: PartNumber
    etag: Annotated[str, text(130, min_length=1), Field(pattern=r'^"?[0-9A-Za-z-]{1,128}"?$')]


class UploadComplete(Input):
    """All parts of the upload."""

    parts: Annotated[list[PartDone], Field(min_length=1, max_length=MAX_PARTS)]
    crc64nvme: Crc64Nvme | None = None
