"""Log groups, all alike."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.config import Environment


def log_group(scope: Construct, id: str, *, name: str, env: Environment) -> logs.LogGroup:
    """A log group that keeps its lines as long as the environment says."""
    return logs.LogGroup(
        scope,
        id,
        log_group_name=name,
        retention=logs.RetentionDays[env.log_retention],
        removal_policy=removal(env),
    )


def removal(env: Environment) -> RemovalPolicy:
    """What becomes of a thing that holds data when its stack no longer has it."""
    # Not after a first deployment that failed: what is left of it would be in the second one's way.
    return RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE if env.keep_data else RemovalPolicy.DESTROY
