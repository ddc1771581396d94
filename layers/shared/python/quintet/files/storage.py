"""Asking S3 on a caller's behalf."""

import base64
import hashlib
from typing import Any

from quintet.aws import s3
from quintet.db.models.files import File
from quintet.errors import BadRequest, Gone, ServiceUnavailable
from quintet.files.purposes import MB
from quintet.observability import logger

MAX_DIRECT = 4 * MB
"""Bytes of a file sent through the API: base64 makes them 5.3 MB of the 6 that Lambda takes."""

_REFUSALS = {
    "InvalidPart": "S3 does not have one of these parts with this ETag. List the parts that have arrived.",
    "InvalidPartOrder": "The parts are not in order.",
    "EntityTooSmall": "A part other than the last is smaller than 5 MB.",
    "InvalidRequest": "The parts together do not have the size that was announced.",
}


def ask(operation: str, **parameters: Any) -> dict[str, Any]:
    """Call S3; what it says about the request is the caller's to know, anything else a 503."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer: dict[str, Any] = getattr(s3(), operation)(**parameters)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "NoSuchUpload":
            raise Gone("This upload is not under way any more. Create a new one.") from None
        if code in _REFUSALS:
            raise BadRequest.at("/parts", _REFUSALS[code]) from None
        logger.exception("S3 refused %s.", operation)
    except BotoCoreError:
        logger.exception("S3 does not answer %s.", operation)
    else:
        return answer
    raise ServiceUnavailable("The storage does not answer. Try again.")


def sha256_of(content: bytes) -> str:
    """As S3 writes it."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def store(file: File, content: bytes) -> None:
    """Put a file's content into S3, which checks that it arrives whole.

    The last thing before the commit. Should that fail, the object has no file, and its notification has it removed;
    the other way round, a repeat by Idempotency-Key would promise a file that never came.
    """
    ask(
        "put_object",
        Bucket=file.bucket,
        Key=file.key,
        Body=content,
        ContentType=file.content_type,
        ChecksumAlgorithm="SHA256",
        ChecksumSHA256=file.sha256,
    )
