"""Whether what we depend on answers."""

from collections.abc import Callable

from sqlalchemy import text

from quintet.aws import s3, sqs
from quintet.config import settings
from quintet.db.session import reading
from quintet.observability import logger


def check_dependencies() -> dict[str, str]:
    """Ask database, queue and bucket; `ok` or `unavailable` for each, the reason in the log."""
    return {
        name: _state(name, check) for name, check in {"database": _database, "queue": _queue, "bucket": _bucket}.items()
    }


def _state(name: str, check: Callable[[], object]) -> str:
    try:
        check()
    except Exception:
        logger.exception("The %s does not answer.", name)
        return "unavailable"
    return "ok"


def _database() -> None:
    with reading() as session:
        session.execute(text("SELECT FROM users LIMIT 1"))


def _queue() -> None:
    sqs().get_queue_attributes(QueueUrl=settings().queue_urls["uploads"], AttributeNames=["QueueArn"])


def _bucket() -> None:
    s3().head_bucket(Bucket=settings().files_bucket)
