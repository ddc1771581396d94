"""Asking S3 on a caller's behalf."""

from typing import Any

from quintet.aws import s3
from quintet.errors import BadRequest, Gone, ServiceUnavailable
from quintet.observability import logger

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
