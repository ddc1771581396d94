"""Bodies of uploads."""

import base64
import binascii
import re
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field

from functions.files.fields import FILE_ALIASES, Name
from quintet.db.models.files import FilePurpose
from quintet.http.schemas import Input, Number, Output, Timestamp, text

MAX_PARTS = 10_000
"""S3's limit for one multipart upload."""
MAX_LINKS = 100
"""Part links signed at once."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_MEDIA_TYPE = re.compile(rf'{_TOKEN}/{_TOKEN}(?:\s*;\s*{_TOKEN}=(?:{_TOKEN}|"[^"\\]*"))*')


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


MediaType = Annotated[str, text(255, min_length=3), AfterValidator(_media_type)]
Size = Annotated[int, Field(ge=1, le=2**50, description="Bytes."), BeforeValidator(_not_empty)]
Sha256 = Annotated[
    str,
    text(64, min_length=44),
    _checksum(32),
    Field(
        description="SHA-256 of the content, base64 or hex.",
        json_schema_extra={"pattern": "^([A-Za-z0-9+/]{43}=|[0-9A-Fa-f]{64})$"},
    ),
]
Crc64Nvme = Annotated[
    str,
    text(16, min_length=12),
    _checksum(8),
    Field(
        description="CRC-64/NVME of the whole content, base64 or hex.",
        json_schema_extra={"pattern": "^([A-Za-z0-9+/]{11}=|[0-9A-Fa-f]{16})$"},
    ),
]


class FileCreate(Input):
    """A file about to be uploaded: what it is, and where it goes."""

    aliases: ClassVar = {**FILE_ALIASES, "content_type": ("contentType",)}

    file_name: Name
    size: Annotated[Size, Number]
    content_type: MediaType = "application/octet-stream"
    project_id: UUID | None = Field(None, description="Without it the file is yours alone.")
    folder_id: UUID | None = None
    purpose: FilePurpose = "asset"


class PresignedUpload(Output):
    """A form to send to S3 as multipart/form-data: all `fields`, then the content as the field `file`, last."""

    file_id: UUID
    url: str
    method: Literal["POST"] = "POST"
    fields: dict[str, str]
    expires_at: Timestamp


class MultipartRead(Output):
    """A multipart upload under way: every part but the last has `part_size` bytes."""

    file_id: UUID
    part_size: int
    part_count: int
    checksum: Literal["CRC64NVME"] = Field("CRC64NVME", description="Of the whole object; S3 computes it.")
    version: int = Field(description="Of the file.")


PartNumber = Annotated[int, Field(ge=1, le=MAX_PARTS), Number]


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
