"""What CDK's data stack makes on AWS, made in the emulator: buckets, queues, notifications, secrets.

Everything here may run again on what is there: the worker does so at each start.
"""

import json
import os
import secrets as random
from contextlib import suppress
from email.utils import parseaddr
from typing import Any

from functions.manifest import DEAD_LETTERS, FUNCTIONS, Queue, visibility_timeout
from infra.buckets import ANNOUNCED, BROWSER_METHODS, BROWSER_REMEMBERS, BROWSER_SEES
from infra.local.environment import ARCHIVE_BUCKET, FILES_BUCKET, OAUTH_CLIENTS, PUSH_SECRET, SEALING_KEY, TOKEN_SECRET
from infra.local.events import queue_arn
from infra.local.state import State
from quintet import aws
from quintet.config import settings
from quintet.files.objects import UPLOADS

_DAYS_14 = 14 * 24 * 3600  # seconds
_SECRET_FILE = "token-secret.json"
_PUSH_SECRET_FILE = "push-secret"
_SEALING_KEY_FILE = "sealing-key"
_OAUTH_CLIENTS_FILE = "oauth-clients.json"


def prepare(state: State) -> None:
    """Make what is missing. The environment (`infra.local.environment`) is set before."""
    for bucket in (FILES_BUCKET, ARCHIVE_BUCKET):
        _make_bucket(bucket)
    _let_browsers_in()
    for function in FUNCTIONS.values():
        if function.queue:
            _make_queue(function.queue, visibility_timeout(function))
    _notify_of_uploads()
    _restore_secret(state)
    _restore_push_secret(state)
    _restore_sealing_key(state)
    _tell_oauth_clients(state)
    domain = parseaddr(settings().email_from)[1].rpartition("@")[2]
    client = aws.sesv2()
    try:
        client.get_email_identity(EmailIdentity=domain)
    except client.exceptions.NotFoundException:
        client.create_email_identity(EmailIdentity=domain)


def _make_bucket(bucket: str) -> None:
    client = aws.s3()
    with suppress(client.exceptions.BucketAlreadyOwnedByYou):
        client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})


def _let_browsers_in() -> None:
    aws.s3().put_bucket_cors(
        Bucket=FILES_BUCKET,
        CORSConfiguration={
            "CORSRules": [
                {
                    "AllowedOrigins": settings().cors_origins or ["*"],
                    "AllowedMethods": list(BROWSER_METHODS),
                    "AllowedHeaders": ["*"],
                    "ExposeHeaders": list(BROWSER_SEES),
                    "MaxAgeSeconds": BROWSER_REMEMBERS,
                }
            ]
        },
    )


def _make_queue(queue: Queue, hidden: int) -> None:
    client = aws.sqs()
    dead = client.create_queue(QueueName=queue.name + DEAD_LETTERS)["QueueUrl"]
    client.set_queue_attributes(QueueUrl=dead, Attributes={"MessageRetentionPeriod": str(_DAYS_14)})
    url = client.create_queue(QueueName=queue.name)["QueueUrl"]
    redrive = {
        "deadLetterTargetArn": queue_arn(queue.name + DEAD_LETTERS),
        "maxReceiveCount": queue.max_receive_count,
    }
    client.set_queue_attributes(
        QueueUrl=url,
        Attributes={
            "VisibilityTimeout": str(hidden),
            "RedrivePolicy": json.dumps(redrive),
        },
    )


def _notify_of_uploads() -> None:
    wanted: dict[str, Any] = {
        "QueueConfigurations": [
            {
                "Id": "uploads",
                "QueueArn": queue_arn("uploads"),
                "Events": [ANNOUNCED],
                "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": UPLOADS}]}},
            }
        ]
    }
    # Setting it sends an s3:TestEvent, so once is enough.
    present = aws.s3().get_bucket_notification_configuration(Bucket=FILES_BUCKET)
    if present.get("QueueConfigurations") != wanted["QueueConfigurations"]:
        aws.s3().put_bucket_notification_configuration(
            Bucket=FILES_BUCKET,
            NotificationConfiguration=wanted,  # type: ignore[arg-type]
        )


def _restore_secret(state: State) -> None:
    """The token secret as the last run left it, with the version before; made up on the first run."""
    client = aws.secrets()
    try:
        client.describe_secret(SecretId=TOKEN_SECRET)
        return
    except client.exceptions.ResourceNotFoundException:
        pass
    versions = json.loads(state.read(_SECRET_FILE) or "[]") or [random.token_urlsafe(48)]
    client.create_secret(Name=TOKEN_SECRET, SecretString=versions[0])
    for version in versions[1:]:
        client.put_secret_value(SecretId=TOKEN_SECRET, SecretString=version)
    keep_secret(state)


def _restore_push_secret(state: State) -> None:
    """The secret of pushes, which is made up once: browsers subscribe to its key."""
    client = aws.secrets()
    secret = state.read(_PUSH_SECRET_FILE) or random.token_urlsafe(48)
    state.write(_PUSH_SECRET_FILE, secret)
    with suppress(client.exceptions.ResourceExistsException):
        client.create_secret(Name=PUSH_SECRET, SecretString=secret)


def _restore_sealing_key(state: State) -> None:
    """The key that secrets of integrations are sealed by: the emulator forgets it, so its material is in the state
    folder and is imported, as one's own keys are on AWS. Under its alias it is the same key again.

    https://docs.aws.amazon.com/kms/latest/developerguide/importing-keys.html
    """
    from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    client = aws.kms()
    with suppress(client.exceptions.NotFoundException):
        client.describe_key(KeyId=SEALING_KEY)
        return
    material = state.read(_SEALING_KEY_FILE) or random.token_hex(32)
    state.write(_SEALING_KEY_FILE, material)
    key = client.create_key(Origin="EXTERNAL")["KeyMetadata"]["KeyId"]
    wrapping = client.get_parameters_for_import(
        KeyId=key, WrappingAlgorithm="RSAES_OAEP_SHA_256", WrappingKeySpec="RSA_2048"
    )
    public = load_der_public_key(wrapping["PublicKey"])
    assert isinstance(public, RSAPublicKey)
    client.import_key_material(
        KeyId=key,
        ImportToken=wrapping["ImportToken"],
        EncryptedKeyMaterial=public.encrypt(bytes.fromhex(material), OAEP(MGF1(SHA256()), SHA256(), None)),
        ExpirationModel="KEY_MATERIAL_DOES_NOT_EXPIRE",
    )
    client.create_alias(AliasName=SEALING_KEY, TargetKeyId=key)


def _tell_oauth_clients(state: State) -> None:
    """What we are to OAuth providers, as the variable OAUTH_CLIENTS says it or a file of the state folder."""
    client = aws.secrets()
    text = os.environ.get("OAUTH_CLIENTS") or state.read(_OAUTH_CLIENTS_FILE) or "{}"
    try:
        client.create_secret(Name=OAUTH_CLIENTS, SecretString=text)
    except client.exceptions.ResourceExistsException:
        client.put_secret_value(SecretId=OAUTH_CLIENTS, SecretString=text)


def keep_secret(state: State) -> None:
    """Write the token secret to the state folder, the older version first: the emulator forgets it."""
    client = aws.secrets()
    versions = []
    for stage in ("AWSPREVIOUS", "AWSCURRENT"):
        try:
            answer = client.get_secret_value(SecretId=TOKEN_SECRET, VersionStage=stage)
        except client.exceptions.ResourceNotFoundException:
            continue
        versions.append(answer["SecretString"])
    content = json.dumps(versions)
    if state.read(_SECRET_FILE) != content:
        state.write(_SECRET_FILE, content)
