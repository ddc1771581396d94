"""Releases by degrees: new code of an API function gets a tenth of its traffic first."""

from collections.abc import Mapping

from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.config import Environment
from infra.constructs.monitoring import Monitoring
from infra.nag import acknowledge

_POLICY = "service-role/AWSCodeDeployRoleForLambdaLimited"


def canary_releases(
    scope: Construct, *, env: Environment, aliases: Mapping[str, lambda_.Alias], monitoring: Monitoring
) -> None:
    """Move each alias by CodeDeploy, which goes back when the function's or the API's errors raise an alarm."""
    releases = Construct(scope, "Releases")
    application = codedeploy.LambdaApplication(releases, "Application", application_name=env.prefix)
    role = iam.Role(
        releases,
        "Role",
        assumed_by=iam.ServicePrincipal("codedeploy.amazonaws.com"),
        managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name(_POLICY)],
    )
    acknowledge(role, f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{_POLICY}]")
    for name, alias in aliases.items():
        codedeploy.LambdaDeploymentGroup(
            releases,
            name,
            alias=alias,
            application=application,
            role=role,
            deployment_config=codedeploy.LambdaDeploymentConfig.CANARY_10_PERCENT_5_MINUTES,
            alarms=monitoring.release_alarms(name),
        )
