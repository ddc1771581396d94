"""Buckets: private, encrypted, versioned, reached by TLS only, their access logged."""

from collections.abc import Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.buckets import ANNOUNCED, BROWSER_METHODS, BROWSER_REMEMBERS, BROWSER_SEES
from infra.config import Environment
from infra.constructs.logging import removal
from quintet.exports import KEPT, PREFIX
from quintet.files.objects import UPLOADS

_ABANDONED_PARTS = Duration.days(2)
_OLD_VERSIONS = Duration.days(30)
_EXPORTS = s3.LifecycleRule(  # should nobody have removed them
    prefix=PREFIX, expiration=Duration.days(KEPT.days + 1), noncurrent_version_expiration=Duration.days(1)
)


class Storage(Construct):
    """The files, the archive of old events, and the logs of who read them."""

    def __init__(self, scope: Construct, id: str, *, env: Environment, key: kms.IKey, uploads: sqs.IQueue) -> None:
        super().__init__(scope, id)
        self._env, self._key = env, key
        self._logs = s3.Bucket(
            self,
            "Logs",
            encryption=s3.BucketEncryption.S3_MANAGED,  # all that log delivery can write to
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            lifecycle_rules=[
                s3.LifecycleRule(expiration=Duration.days(400), noncurrent_version_expiration=Duration.days(1))
            ],
            removal_policy=removal(env),
        )
        self.files = self._bucket("Files", [], cors=_browsers(env), rules=[_EXPORTS])
        self.archive = self._bucket(
            "Archive",
            [
                s3.Transition(
                    storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL,
                    transition_after=Duration.days(90),
                )
            ],
        )
        self._announce(uploads)

    def _bucket(
        self,
        id: str,
        transitions: Sequence[s3.Transition],
        cors: Sequence[s3.CorsRule] | None = None,
        rules: Sequence[s3.LifecycleRule] = (),
    ) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            id,
            encryption=s3.BucketEncryption.KMS,
            encryption_key=self._key,
            bucket_key_enabled=True,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            versioned=True,
            server_access_logs_bucket=self._logs,
            server_access_logs_prefix=f"{id.lower()}/",
            cors=cors,
            lifecycle_rules=[
                s3.LifecycleRule(
                    abort_incomplete_multipart_upload_after=_ABANDONED_PARTS,
                    noncurrent_version_expiration=_OLD_VERSIONS,
                    transitions=list(transitions) or None,
                ),
                *rules,
            ],
            removal_policy=removal(self._env),
        )
        # AWS Backup listens there. By the bucket's own properties, here and below: what CDK does for it brings a
        # function with a role that may change any bucket.
        _properties(bucket).add_property_override(
            "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True
        )
        return bucket

    def _announce(self, uploads: sqs.IQueue) -> None:
        """S3 tells the queue of each object under `uploads/`.

        The queue's policy must stand first and so cannot name the bucket; it names our account, and the buckets of
        this stack by how CloudFormation begins their names.
        """
        stack = Stack.of(self)
        allowed = uploads.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("s3.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[uploads.queue_arn],
                conditions={
                    "StringEquals": {"aws:SourceAccount": stack.account},
                    "ArnLike": {"aws:SourceArn": f"arn:{stack.partition}:s3:::{stack.stack_name.lower()}-*"},
                },
            )
        )
        assert allowed.policy_dependable
        bucket = _properties(self.files)
        bucket.add_property_override(
            "NotificationConfiguration.QueueConfigurations",
            [
                {
                    "Event": ANNOUNCED,
                    "Queue": uploads.queue_arn,
                    "Filter": {"S3Key": {"Rules": [{"Name": "prefix", "Value": UPLOADS}]}},
                }
            ],
        )
        bucket.node.add_dependency(allowed.policy_dependable)


def _properties(bucket: s3.Bucket) -> s3.CfnBucket:
    resource = bucket.node.default_child
    assert isinstance(resource, s3.CfnBucket)
    return resource


def _browsers(env: Environment) -> list[s3.CorsRule]:
    return [
        s3.CorsRule(
            allowed_origins=list(env.cors_origins),
            allowed_methods=[s3.HttpMethods[method] for method in BROWSER_METHODS],
            allowed_headers=["*"],
            exposed_headers=list(BROWSER_SEES),
            max_age=BROWSER_REMEMBERS,
        )
    ]
