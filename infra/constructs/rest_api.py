"""The REST API: one body for all of it, one stage, its logs and its name."""

import json
from collections.abc import Mapping

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from functions.manifest import FUNCTIONS
from infra.api_body import api_body
from infra.config import Environment
from infra.constructs.logging import log_group
from infra.nag import acknowledge

_ACCESS_LOG = {
    "time": "requestTimeEpoch",
    "request_id": "requestId",
    "extended_request_id": "extendedRequestId",
    "ip": "identity.sourceIp",
    "user_agent": "identity.userAgent",
    "method": "httpMethod",
    "path": "path",  # without the query, which may carry a token
    "status": "status",
    "latency": "responseLatency",
    "integration_latency": "integration.latency",
    "integration_status": "integration.integrationStatus",
    "error": "error.responseType",
    "waf": "waf.status",
    "trace": "xrayTraceId",
}
_PUSH_LOGS = "service-role/AmazonAPIGatewayPushToCloudWatchLogs"


class RestApi(Construct):
    """Every path of the manifest, invoking the function's alias."""

    def __init__(self, scope: Construct, id: str, *, env: Environment, aliases: Mapping[str, lambda_.Alias]) -> None:
        super().__init__(scope, id)
        stack = Stack.of(self)

        def integration_uri(name: str) -> str:
            version, invoked = (
                ("2021-11-15", "response-streaming-invocations")
                if FUNCTIONS[name].streams
                else ("2015-03-31", "invocations")
            )
            return (
                f"arn:{stack.partition}:apigateway:{stack.region}:lambda:path/{version}"
                f"/functions/{aliases[name].function_arn}/{invoked}"
            )

        body = api_body(
            title=env.prefix,
            integration_uri=integration_uri,
            cors_origins=env.cors_origins,
            stage_path="" if env.domain_name else f"/{env.name}",
        )
        self.api = apigateway.SpecRestApi(
            self,
            "Api",
            rest_api_name=env.prefix,
            api_definition=apigateway.ApiDefinition.from_inline(body),
            binary_media_types=["*/*"],  # with a narrower list a binary answer breaks under `Accept: */*`
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            disable_execute_api_endpoint=bool(env.domain_name),
            cloud_watch_role=True,
            deploy_options=apigateway.StageOptions(
                stage_name=env.name,
                access_log_destination=apigateway.LogGroupLogDestination(
                    log_group(self, "AccessLogs", name=f"/quintet/{env.name}/api", env=env)
                ),
                access_log_format=apigateway.AccessLogFormat.custom(
                    json.dumps({field: f"$context.{variable}" for field, variable in _ACCESS_LOG.items()})
                ),
                logging_level=apigateway.MethodLoggingLevel.ERROR,
                metrics_enabled=True,
                tracing_enabled=True,
                throttling_rate_limit=env.rate_limit,
                throttling_burst_limit=env.burst_limit,
            ),
        )
        self.log_access = self.api.node.find_child("Account")
        """Lets API Gateway write logs, for every API of the account."""
        for alias in aliases.values():
            alias.add_permission(
                "Api",
                principal=iam.ServicePrincipal("apigateway.amazonaws.com"),
                source_arn=self.api.arn_for_execute_api("*", "/*", "*"),
            )
        acknowledge(
            self.api,
            "AwsSolutions-APIG2",
            f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{_PUSH_LOGS}]",
        )
        if env.domain_name:
            self._name(env)
        CfnOutput(self, "Url", value=self.url(env))

    def url(self, env: Environment) -> str:
        """The address clients use, with the stage, without a slash at the end.

        Made of the API's id and not of its stage, so that a function may be told it.
        """
        return f"https://{self.host(env)}" + ("" if env.domain_name else f"/{env.name}")

    def host(self, env: Environment) -> str:
        """Where it is reached: at its own name, or at the one that API Gateway gives it."""
        stack = Stack.of(self)
        return env.domain_name or f"{self.api.rest_api_id}.execute-api.{stack.region}.{stack.url_suffix}"

    def _name(self, env: Environment) -> None:
        domain = apigateway.DomainName(
            self,
            "Domain",
            domain_name=env.domain_name,
            certificate=acm.Certificate.from_certificate_arn(self, "Certificate", env.certificate_arn),
            endpoint_type=apigateway.EndpointType.REGIONAL,
            security_policy=apigateway.SecurityPolicy.TLS_1_2,
            mapping=self.api,
        )
        CfnOutput(self, "Alias", value=f"{env.domain_name} ALIAS {domain.domain_name_alias_domain_name}")
