"""One Lambda function of the manifest: its code, its role, its network and its logs."""

from collections.abc import Mapping, Sequence

from aws_cdk import Duration, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from functions.manifest import FUNCTIONS, Need, handler_path
from infra.access import Access
from infra.bundling import function_bundle
from infra.config import WEB_ADAPTER, Environment
from infra.constructs.cdn import ADDRESS_HEADER, HOST_HEADER
from infra.constructs.logging import log_group
from infra.constructs.network import FUNCTION_SUBNETS, Network
from infra.constructs.queues import QueuePair
from infra.nag import acknowledge

ARCHITECTURE = lambda_.Architecture.ARM_64
RUNTIME = lambda_.Runtime.PYTHON_3_13
ALIAS = "live"

_ATTACH_TO_VPC = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)

_SERVED = {
    "AWS_LAMBDA_EXEC_WRAPPER": "/opt/bootstrap",
    "AWS_LWA_INVOKE_MODE": "response_stream",
    "AWS_LWA_PORT": "8080",
    "AWS_LWA_READINESS_CHECK_PROTOCOL": "tcp",
}
"""What has Lambda Web Adapter start `run.sh` and stream what that server answers."""

_FINDINGS = (
    "AwsSolutions-L1",
    "Serverless-LambdaDLQ",
    "Serverless-LambdaLatestVersion",
    "Annotation::@aws-cdk/aws-lambda:snapStartRequirePublish",
)


class ServiceFunction(Construct):
    """A function as the manifest describes it. Its role can do what its needs say and nothing else."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        env: Environment,
        layers: Sequence[lambda_.ILayerVersion],
        network: Network,
        access: Mapping[Need, Access],
        queues: Mapping[str, QueuePair],
    ) -> None:
        super().__init__(scope, id)
        self.name = id
        self.manifest = FUNCTIONS[id]
        api = bool(self.manifest.routes)
        granted = [access[need] for need in sorted(self.manifest.needs)]
        known = sorted(self.manifest.sends_to | self.manifest.looks_at)
        logs = log_group(self, "Logs", name=f"/aws/lambda/{env.prefix}-{id}", env=env)
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=f"{env.prefix}-{id}",
            description=self.manifest.description,
            runtime=RUNTIME,
            architecture=ARCHITECTURE,
            code=lambda_.Code.from_asset(str(function_bundle(id))),
            handler=handler_path(id),
            layers=[*layers, *([_web_adapter(self)] if self.manifest.streams else [])],
            memory_size=self.manifest.memory,
            timeout=Duration.seconds(self.manifest.timeout),
            environment={
                **_common_environment(env),
                **(_SERVED if self.manifest.streams else {}),
                "DATABASE_POOL_SIZE": str(self.manifest.connections),
                **{name: value for grant in granted for name, value in grant.environment.items()},
                **{f"{name.upper()}_QUEUE_URL": queues[name].queue.queue_url for name in known},
            },
            role=iam.Role(
                self,
                "Role",
                assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
                description=f"The {id} function of {env.prefix}",
            ),
            vpc=network.vpc,
            vpc_subnets=FUNCTION_SUBNETS,
            security_groups=[_group(network, self.manifest.needs)],
            log_group=logs,
            logging_format=lambda_.LoggingFormat.JSON,
            application_log_level_v2=lambda_.ApplicationLogLevel[env.log_level],
            tracing=lambda_.Tracing.ACTIVE,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if api and env.snap_start else None,
            reserved_concurrent_executions=env.api_concurrency if api else None,
        )
        self._grant(granted)
        logs.grant_write(self.function)
        for name in sorted(self.manifest.sends_to):
            queues[name].queue.grant_send_messages(self.function)
        for name in sorted(self.manifest.looks_at):
            queues[name].queue.grant(self.function, "sqs:GetQueueAttributes")

    def publish(self) -> lambda_.Alias:
        """The alias the API calls: the version last published."""
        return lambda_.Alias(self, "Live", alias_name=ALIAS, version=self.function.current_version)

    def _grant(self, granted: list[Access]) -> None:
        # These have no resource-level permissions; X-Ray's, which CDK adds, have none either.
        self.function.add_to_role_policy(iam.PolicyStatement(actions=list(_ATTACH_TO_VPC), resources=["*"]))
        acknowledge(self, "AwsSolutions-IAM5[Resource::*]", *_FINDINGS)
        for grant in granted:
            acknowledge(self, *grant.findings)
            for statement in grant.statements:
                self.function.add_to_role_policy(statement)


def _group(network: Network, needs: frozenset[Need]) -> ec2.SecurityGroup:
    return network.owner if Need.DATABASE_OWNER in needs else network.application


def _web_adapter(scope: Construct) -> lambda_.ILayerVersion:
    stack = Stack.of(scope)
    arn = WEB_ADAPTER.format(partition=stack.partition, region=stack.region)
    return lambda_.LayerVersion.from_layer_version_arn(scope, "WebAdapter", arn)


def _common_environment(env: Environment) -> dict[str, str]:
    """What every function is told."""
    optional = {
        "SENTRY_DSN": env.sentry_dsn,
        "SAME_SITE_COOKIES": "true" if env.same_site_cookies else "",
        "CLIENT_ADDRESS_HEADER": ADDRESS_HEADER if env.cdn else "",
        "PUBLIC_HOST_HEADER": HOST_HEADER if env.cdn else "",
    }
    return {
        "ENVIRONMENT": env.name,
        "CORS_ORIGINS": ",".join(env.cors_origins),
        "POWERTOOLS_LOG_LEVEL": env.log_level,
        **{key: value for key, value in optional.items() if value},
    }
