"""A file to be written whose content goes to S3 in parts, and is never held as a whole."""

import io
from typing import TYPE_CHECKING, Any

from quintet.aws import s3

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

PART = 8 * 1024 * 1024
"""Bytes. S3 takes 10,000 parts: 80 GB, which is more than can be sent in the time there is."""


class MultipartFile(io.RawIOBase):
    """Written from beginning to end, then `complete`d; until then there is no object."""

    def __init__(self, bucket: str, key: str, *, content_type: str) -> None:
        self._bucket, self._key = bucket, key
        self.upload_id = s3().create_multipart_upload(Bucket=bucket, Key=key, ContentType=content_type)["UploadId"]
        self._parts: list[CompletedPartTypeDef] = []
        self._held = bytearray()
        self.size = 0
        """Bytes written."""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, content: Any) -> int:
        """Take all of these bytes; sends a part when there is enough for one."""
        self._held += content
        length = len(content)
        self.size += length
        while len(self._held) >= PART:
            self._send(bytes(memoryview(self._held)[:PART]))
            del self._held[:PART]
        return length

    def complete(self) -> str | None:
        """Send what is left and make it an object; its version."""
        self._send(bytes(self._held))  # the only part that may be small
        self._held.clear()
        answer = s3().complete_multipart_upload(
            Bucket=self._bucket, Key=self._key, UploadId=self.upload_id, MultipartUpload={"Parts": self._parts}
        )
        return answer.get("VersionId")

    def _send(self, content: bytes) -> None:
        number = len(self._parts) + 1
        sent = s3().upload_part(
            Bucket=self._bucket, Key=self._key, UploadId=self.upload_id, PartNumber=number, Body=content
        )
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})


def abort(bucket: str, key: str, upload_id: str) -> None:
    """Have S3 forget the parts of an upload that was broken off. Repeatable."""
    from botocore.exceptions import ClientError

    from quintet.files.objects import is_missing

    try:
        s3().abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
    except ClientError as error:
        if not is_missing(error):
            raise
