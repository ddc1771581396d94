"""What each need of the manifest means on AWS: the one table of permissions and environment variables.

The variables are those of `quintet.config.Settings`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from functions.manifest import Need
from infra.config import Environment
from infra.constructs.database import APPLICATION_USER, NAME, Endpoint
from infra.data_stack import DataStack


@dataclass(frozen=True, slots=True)
class Access:
    """What a function gets for one need."""

    environment: Mapping[str, str] = field(default_factory=dict)
    statements: Sequence[iam.PolicyStatement] = ()
    findings: Sequence[str] = ()  # what cdk-nag says of the statements, to be acknowledged


def access_table(data: DataStack, *, env: Environment) -> dict[Need, Access]:
    """Need -> access, but for what the APIs give. Actions are named one by one: a wildcard would grow with AWS."""
    stack = Stack.of(data)
    files, archive = data.storage.files, data.storage.archive
    database, email = data.database, data.email
    in_files = {"FILES_BUCKET": files.bucket_name}
    secret, sealing = data.token_secret.secret_arn, data.sealing_key.key_arn

    def objects(bucket: s3.IBucket, *actions: str) -> iam.PolicyStatement:
        return allow(actions, [f"{bucket.bucket_arn}/*"])

    def every_object(bucket: s3.IBucket) -> list[str]:
        # cdk-nag names the resource by the export that carries it to the other stack.
        export = stack.resolve(stack.export_value(bucket.bucket_arn))["Fn::ImportValue"]
        return [f"AwsSolutions-IAM5[Resource::{export}/*]"]

    def key(service: str, *actions: str) -> iam.PolicyStatement:
        via = {"StringEquals": {"kms:ViaService": f"{service}.{stack.region}.{stack.url_suffix}"}}
        return allow(actions, [data.key.key_arn], conditions=via)

    def for_integrations(action: str) -> iam.PolicyStatement:
        # Nothing but what is bound to one integration of one person.
        bound = {
            "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["integration_id", "user_id"]},
            "Null": {"kms:EncryptionContext:integration_id": "false", "kms:EncryptionContext:user_id": "false"},
        }
        return allow([action], [sealing], conditions=bound)

    return {
        Need.DATABASE: Access(
            {**_endpoint(database.for_application), "DATABASE_USER": APPLICATION_USER},
            [allow(["rds-db:connect"], [database.connect_arn])],
        ),
        Need.DATABASE_OWNER: Access(
            {**_endpoint(database.for_owner), "DATABASE_SECRET_ID": database.owner_secret_arn},
            [
                allow(["secretsmanager:GetSecretValue"], [database.owner_secret_arn]),
                key("secretsmanager", "kms:Decrypt"),
            ],
        ),
        Need.TOKEN_SECRET: Access(
            {"TOKEN_SECRET_ID": secret},
            [allow(["secretsmanager:GetSecretValue"], [secret]), key("secretsmanager", "kms:Decrypt")],
        ),
        Need.TOKEN_SECRET_ROTATE: Access(
            {"TOKEN_SECRET_ID": secret},
            [
                allow(["secretsmanager:PutSecretValue"], [secret]),
                key("secretsmanager", "kms:Decrypt", "kms:GenerateDataKey"),
            ],
        ),
        Need.FILES_LIST: Access(in_files, [allow(["s3:ListBucket"], [files.bucket_arn])]),
        Need.FILES_READ: Access(
            in_files,
            [
                objects(
                    files,
                    *(f"s3:GetObject{what}" for what in ("", "Version", "Attributes", "VersionAttributes")),
                ),
                # Without it a missing object is a 403.
                allow(["s3:ListBucket"], [files.bucket_arn]),
                key("s3", "kms:Decrypt"),
            ],
            every_object(files),
        ),
        Need.FILES_WRITE: Access(
            in_files,
            [
                objects(files, "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
                key("s3", "kms:GenerateDataKey", "kms:Decrypt"),
            ],
            every_object(files),
        ),
        Need.FILES_DELETE: Access(
            in_files,
            [
                objects(files, "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload"),
                allow(["s3:ListBucketVersions"], [files.bucket_arn]),
            ],
            every_object(files),
        ),
        Need.ARCHIVE_WRITE: Access(
            {"ARCHIVE_BUCKET": archive.bucket_name},
            [
                # Read too: a month is dropped from the database only when it has been seen to be there.
                objects(archive, "s3:PutObject", "s3:AbortMultipartUpload", "s3:GetObject"),
                key("s3", "kms:GenerateDataKey", "kms:Decrypt"),
            ],
            every_object(archive),
        ),
        Need.SEALING: Access({"SEALING_KEY_ID": sealing}, [for_integrations("kms:GenerateDataKey")]),
        Need.UNSEALING: Access({"SEALING_KEY_ID": sealing}, [for_integrations("kms:Decrypt")]),
        Need.PUSH_SECRET: Access(
            {"PUSH_SECRET_ID": data.push_secret.secret_arn, "EMAIL_FROM": env.email_from},
            [
                allow(["secretsmanager:GetSecretValue"], [data.push_secret.secret_arn]),
                key("secretsmanager", "kms:Decrypt"),
            ],
        ),
        Need.OAUTH_CLIENTS: Access(
            {"OAUTH_CLIENTS_SECRET_ID": data.oauth_clients.secret_arn},
            [
                allow(["secretsmanager:GetSecretValue"], [data.oauth_clients.secret_arn]),
                key("secretsmanager", "kms:Decrypt"),
            ],
        ),
        Need.AI: assistant(stack, env),
        Need.SEND_EMAIL: Access(
            {
                "EMAIL_FROM": env.email_from,
                "SES_CONFIGURATION_SET": email.configuration_set.configuration_set_name,
            },
            [allow(["ses:SendEmail"], [email.identity.email_identity_arn, email.configuration_set_arn])],
        ),
    }


def assistant(stack: Stack, env: Environment) -> Access:
    """Of who answers for the assistant."""
    told = {"AI_PROVIDER": env.ai_provider, "AI_MODEL": env.ai_model}
    if env.ai_provider == "openai":
        secret = env.ai_secret_arn
        return Access(
            {**told, "AI_BASE_URL": env.ai_base_url, **({"AI_SECRET_ID": secret} if secret else {})},
            [allow(["secretsmanager:GetSecretValue"], [secret])] if secret else [],
        )
    if env.ai_provider == "offline":
        return Access(told)
    model = f"arn:{stack.partition}:bedrock:{stack.region}::foundation-model/{env.ai_model}"
    return Access(told, [allow(["bedrock:InvokeModelWithResponseStream"], env.ai_model_arns or [model])])


def _endpoint(endpoint: Endpoint) -> dict[str, str]:
    return {
        "DATABASE_HOST": endpoint.host,
        "DATABASE_PORT": str(endpoint.port),
        "DATABASE_NAME": NAME,
        "DATABASE_SSLROOTCERT": endpoint.certificates,
    }


def allow(
    actions: Sequence[str], resources: Sequence[str], *, conditions: Mapping[str, object] | None = None
) -> iam.PolicyStatement:
    """A statement that allows these actions on these resources."""
    return iam.PolicyStatement(actions=list(actions), resources=list(resources), conditions=conditions)
