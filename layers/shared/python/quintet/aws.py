"""AWS clients, made when first used: importing boto3 costs a cold start some 200 ms."""

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sesv2 import SESV2Client
    from mypy_boto3_sqs import SQSClient


@lru_cache(maxsize=1)
def s3() -> "S3Client":
    """S3, with SigV4 and regional addresses, which presigned links need.

    Checksums are ours to choose: by default botocore would make every multipart upload one of CRC32 parts, each of
    which the uploader had to send. The timeouts keep a stalled call from holding a transaction.
    """
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        config=Config(
            signature_version="s3v4",
            retries={"mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=3,
            read_timeout=20,  # putting a large upload's parts together takes S3 a while
        ),
    )


@lru_cache(maxsize=1)
def sqs() -> "SQSClient":
    """SQS."""
    import boto3

    return boto3.client("sqs")


@lru_cache(maxsize=1)
def sesv2() -> "SESV2Client":
    """SES, version 2 of its API. Asked once: a retry after an answer that was lost would send the email twice."""
    import boto3
    from botocore.config import Config

    return boto3.client("sesv2", config=Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 1}))


@lru_cache(maxsize=1)
def secrets() -> "SecretsManagerClient":
    """Secrets Manager."""
    import boto3

    return boto3.client("secretsmanager")


def forget_clients() -> None:
    """Make every client anew when next used: after a fork of the environment, in tests."""
    for client in (s3, sqs, sesv2, secrets):
        client.cache_clear()
