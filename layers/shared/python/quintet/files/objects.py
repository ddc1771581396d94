"""Where the objects of files are, and whether they are there."""

from typing import TYPE_CHECKING, Any
from uuid import UUID

from quintet.aws import s3

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from botocore.response import StreamingBody
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

UPLOADS = "uploads/"
"""What the keys of uploaded objects begin with; S3 announces each on the queue `uploads`."""

_CHUNK = 1024 * 1024
_MISSING = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound", "NoSuchUpload"})


def key_of(file_id: UUID) -> str:
    """The key of a file's object."""
    return f"{UPLOADS}{file_id}"


def file_id_of(key: str) -> UUID | None:
    """The file whose object has this key; None when the key is not one of ours."""
    if not key.startswith(UPLOADS):
        return None
    try:
        return UUID(key.removeprefix(UPLOADS))
    except ValueError:
        return None


def named(bucket: str, key: str, version_id: str | None) -> Any:
    """The parameters by which S3 is told an object's version, or its newest one."""
    names = {"Bucket": bucket, "Key": key}
    return {**names, "VersionId": version_id} if version_id else names


def get_from(names: Any, start: int, end: int | None = None) -> "StreamingBody":
    """The content of the object that `names` tells from byte `start` on; what comes after `end` is not asked for.

    A server may ignore that and send the whole (RFC 9110, section 14.2): what is before `start` is skipped then.
    """
    answer = s3().get_object(**names, Range=f"bytes={start}-{'' if end is None else end}")
    to_skip = 0 if "ContentRange" in answer else start
    while to_skip and (skipped := answer["Body"].read(min(to_skip, _CHUNK))):
        to_skip -= len(skipped)
    return answer["Body"]


def head(bucket: str, key: str, version_id: str | None = None) -> "HeadObjectOutputTypeDef | None":
    """What S3 knows of an object's version, or of its newest one, checksums included; None when it is not there."""
    from botocore.exceptions import ClientError

    try:
        return s3().head_object(**named(bucket, key, version_id), ChecksumMode="ENABLED")
    except ClientError as error:
        if is_missing(error):
            return None
        raise


def is_missing(error: "ClientError") -> bool:
    """Whether S3 says that what it was asked about is not there."""
    return error.response.get("Error", {}).get("Code", "") in _MISSING
