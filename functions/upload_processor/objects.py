"""What is asked of S3 about one object. No more of it is read than must be."""

import base64
import hashlib
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from quintet.aws import s3
from quintet.files.objects import get_from, head, is_missing, named

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

_CHUNK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One version of an object."""

    bucket: str
    key: str
    version_id: str | None
    size: int  # bytes
    sha256: str | None
    crc64nvme: str | None

    def read(self, start: int, length: int) -> bytes:
        """These bytes, as far as there are any; `size` is not 0."""
        with closing(get_from(self._names(), start, min(start + length, self.size) - 1)) as body:
            return body.read(length)

    def compute_sha256(self) -> str:
        """The SHA-256 of the whole object, base64, in constant memory: for storage that kept none."""
        digest = hashlib.sha256()
        for chunk in s3().get_object(**self._names())["Body"].iter_chunks(_CHUNK):
            digest.update(chunk)
        return base64.b64encode(digest.digest()).decode()

    def _names(self) -> Any:
        return named(self.bucket, self.key, self.version_id)


def look_up(bucket: str, key: str, version_id: str | None) -> StoredObject | None:
    """The object's version, or its newest one; None when it is not there."""
    found = head(bucket, key, version_id)
    if found is None:
        return None
    whole = found.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT"
    return StoredObject(
        bucket,
        key,
        found.get("VersionId", version_id),
        found["ContentLength"],
        found.get("ChecksumSHA256") if whole else None,
        found.get("ChecksumCRC64NVME") if whole else None,
    )


def delete_version(bucket: str, key: str, version_id: str | None) -> None:
    """Delete this version for good. Repeatable."""
    s3().delete_object(**named(bucket, key, version_id))


def delete_everything(bucket: str, key: str, upload_id: str | None) -> None:
    """Delete every version of an object and abort the multipart upload of it. Repeatable."""
    if upload_id:
        try:
            s3().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        except ClientError as error:
            if not is_missing(error):
                raise
    for page in s3().get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=key):
        found: list[ObjectIdentifierTypeDef] = [
            {"Key": key, "VersionId": version["VersionId"]}
            for version in (*page.get("Versions", []), *page.get("DeleteMarkers", []))
            if version["Key"] == key
        ]
        if found:
            answer = s3().delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True})
            if errors := answer.get("Errors"):
                raise RuntimeError(f"S3 kept {len(errors)} versions: {errors[0].get('Code')}")
