"""The WebSocket API: three routes to one function, one stage, its logs."""

import json
from typing import cast

from aws_cdk import CfnElement, CfnOutput, Stack
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk.aws_apigatewayv2_integrations import WebSocketLambdaIntegration
from constructs import Construct, IDependable

from infra.access import Access, allow
from infra.config import Environment
from infra.constructs.logging import log_group
from infra.nag import acknowledge

_ACCESS_LOG = {
    "time": "requestTimeEpoch",
    "request_id": "requestId",
    "extended_request_id": "extendedRequestId",
    "ip": "identity.sourceIp",
    "user_agent": "identity.userAgent",
    "event": "eventType",
    "route": "routeKey",  # without the query, which carries the ticket
    "connection_id": "connectionId",
    "connected_at": "connectedAt",
    "status": "status",
    "error": "error.messageString",
    "integration_latency": "integrationLatency",
    "integration_error": "integrationErrorMessage",
}


class WebSocketApi(Construct):
    """The API by itself. What it calls is told its address, so it comes first, and `serve` says later what that is."""

    def __init__(self, scope: Construct, id: str, *, env: Environment) -> None:
        super().__init__(scope, id)
        self.api = apigateway.WebSocketApi(self, "Api", api_name=f"{env.prefix}-realtime")
        logs = log_group(self, "AccessLogs", name=f"/quintet/{env.name}/realtime", env=env)
        self.stage = apigateway.WebSocketStage(
            self,
            "Stage",
            web_socket_api=self.api,
            stage_name=env.name,
            auto_deploy=True,
            detailed_metrics_enabled=True,
            throttle=apigateway.ThrottleSettings(rate_limit=env.rate_limit, burst_limit=env.burst_limit),
        )
        cfn_stage = cast(apigateway.CfnStage, self.stage.node.default_child)
        cfn_stage.access_log_settings = apigateway.CfnStage.AccessLogSettingsProperty(
            destination_arn=logs.log_group_arn,
            format=json.dumps({field: f"$context.{variable}" for field, variable in _ACCESS_LOG.items()}),
        )
        self._name = env.name
        CfnOutput(self, "Url", value=self.stage.url)

    def access(self) -> Access:
        """What posts to clients and closes their connections needs; made of the API's id and not of its stage."""
        stack, api_id = Stack.of(self), self.api.api_id
        logical_id = stack.get_logical_id(cast(CfnElement, self.api.node.default_child))
        at = f"arn:{stack.partition}:execute-api:{stack.region}:{stack.account}:{api_id}"
        # Ids are made by API Gateway: the connections of this stage cannot be named one by one.
        paths = [f"{self._name}/{method}/@connections/*" for method in ("POST", "DELETE")]
        named = f"arn:<AWS::Partition>:execute-api:<AWS::Region>:<AWS::AccountId>:<{logical_id}>"
        return Access(
            {"REALTIME_ENDPOINT": f"https://{api_id}.execute-api.{stack.region}.{stack.url_suffix}/{self._name}"},
            [allow(["execute-api:ManageConnections"], [f"{at}/{path}" for path in paths])],
            [f"AwsSolutions-IAM5[Resource::{named}/{path}]" for path in paths],
        )

    def serve(self, function: lambda_.IFunction, *, after: IDependable) -> None:
        """Have this function answer everything. What it answers a frame goes back as one.

        `after`: what lets API Gateway write logs.
        """
        self.stage.node.add_dependency(after)
        for route in ("$connect", "$disconnect", "$default"):
            integration = WebSocketLambdaIntegration(f"{route[1:]}-integration", function)
            self.api.add_route(route, integration=integration, return_response=route == "$default")
        acknowledge(self.api, "AwsSolutions-APIG4")
