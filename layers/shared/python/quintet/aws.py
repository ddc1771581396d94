"""AWS clients, made when first used: importing boto3 costs a cold start some 200 ms.

Each has timeouts of its own: a call that stalls must not take the request, or a transaction, with it.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from quintet.config import settings

if TYPE_CHECKING:
    from mypy_boto3_apigatewaymanagementapi import ApiGatewayManagementApiClient
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sesv2 import SESV2Client
    from mypy_boto3_sqs import SQSClient


SOCKETS_AT_ONCE = 20
"""Frames posted at the same time."""


def _client(service: str, *, read_timeout: int, attempts: int, endpoint: str | None = None, **options: Any) -> Any:
    import boto3
    from botocore.config import Config

    config = Config(
        read_timeout=read_timeout,
        retries={"mode": "standard", "total_max_attempts": attempts},
        **{"connect_timeout": 3, **options},
    )
    return boto3.client(service, config=config, endpoint_url=endpoint)  # type: ignore[call-overload]


@lru_cache(maxsize=1)
def s3() -> "S3Client":
    """S3, with SigV4, which presigned links need.

    Checksums are ours to choose: by default botocore would make every multipart upload one of CRC32 parts, each of
    which the uploader had to send.
    """
    client: S3Client = _client(
        "s3",
        read_timeout=20,  # putting a large upload's parts together takes S3 a while
        attempts=3,
        signature_version="s3v4",
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return client


@lru_cache(maxsize=1)
def sqs() -> "SQSClient":
    """SQS. Sending is best effort: what it misses, the dispatcher sends."""
    client: SQSClient = _client("sqs", read_timeout=5, attempts=2)
    return client


@lru_cache(maxsize=1)
def sesv2() -> "SESV2Client":
    """SES, version 2 of its API. Asked once: a retry after an answer that was lost would send the email twice."""
    client: SESV2Client = _client("sesv2", read_timeout=10, attempts=1)
    return client


@lru_cache(maxsize=1)
def sockets() -> "ApiGatewayManagementApiClient":
    """The WebSocket API's own: takes frames for its clients. Asked once: others wait for who does not answer."""
    client: ApiGatewayManagementApiClient = _client(
        "apigatewaymanagementapi",
        endpoint=settings().realtime_endpoint,
        connect_timeout=2,
        read_timeout=2,
        attempts=1,
        max_pool_connections=SOCKETS_AT_ONCE,
    )
    return client


@lru_cache(maxsize=1)
def secrets() -> "SecretsManagerClient":
    """Secrets Manager."""
    client: SecretsManagerClient = _client("secretsmanager", read_timeout=5, attempts=3)
    return client


@lru_cache(maxsize=1)
def kms() -> "KMSClient":
    """KMS."""
    client: KMSClient = _client("kms", read_timeout=5, attempts=3)
    return client


@lru_cache(maxsize=1)
def bedrock() -> "BedrockRuntimeClient":
    """Bedrock's models. Asked once: a user who waits can ask again, and a second answer costs as much as the first."""
    client: BedrockRuntimeClient = _client("bedrock-runtime", read_timeout=60, attempts=1)
    return client


def forget_clients() -> None:
    """Make every client anew when next used, as after a change of the environment."""
    for client in (s3, sqs, sesv2, sockets, secrets, kms, bedrock):
        client.cache_clear()
