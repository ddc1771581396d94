"""Links to stored content, signed here without a call to S3."""

import time
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

from quintet.aws import s3
from quintet.errors import Conflict

WINDOW = 300
"""Seconds in which a file's representation keeps its ETag, and the link in it may be used again."""
GRACE = 600
"""Seconds a link lives on after its window: whoever gets a 304 has a link that is good for that long at least."""

_ATTR_CHAR = "!#$&+-.^_`|~"
"""RFC 8187's attr-char, besides letters and digits."""


class Stored(NamedTuple):
    """Where a file's content is, and what a link to it needs."""

    status: str
    bucket: str
    key: str
    version_id: str | None
    file_name: str
    detected_type: str | None


class Link(NamedTuple):
    """A signed address and when it runs out."""

    url: str
    expires_at: datetime


def window() -> int:
    """The number of the present window."""
    return int(time.time()) // WINDOW


def download(stored: Stored) -> Link:
    """A link to the version that was checked; 409 while the file is not ready."""
    if stored.status != "ready":
        raise Conflict(
            "The file was rejected; its reason says why."
            if stored.status == "rejected"
            else "The file is not ready yet. Read it again until its status is ready."
        )
    expires_at = (window() + 1) * WINDOW + GRACE
    parameters = {
        "Bucket": stored.bucket,
        "Key": stored.key,
        "ResponseContentDisposition": content_disposition(stored.file_name),
        "ResponseContentType": stored.detected_type or "application/octet-stream",
    }
    if stored.version_id:
        parameters["VersionId"] = stored.version_id
    url = s3().generate_presigned_url("get_object", Params=parameters, ExpiresIn=expires_at - int(time.time()))
    return Link(url, datetime.fromtimestamp(expires_at, UTC))


def content_disposition(file_name: str) -> str:
    """`attachment` under this name (RFC 6266): plain ASCII for old clients, the real name by RFC 8187."""
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in file_name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(file_name, safe=_ATTR_CHAR)}"
