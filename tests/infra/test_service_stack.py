"""What is promised of the API, its firewall, releases and alarms."""

import json
import re
from typing import Any

import pytest
from aws_cdk.assertions import Match

from functions.manifest import FUNCTIONS, QUEUES
from infra.api_body import api_body
from infra.config import ENVIRONMENTS
from infra.constructs.firewall import FREE_BODIES, free_body_pattern
from quintet.config import settings
from quintet.observability import count_metric
from tests.infra.conftest import Synthesised

API_FUNCTIONS = {name for name, function in FUNCTIONS.items() if function.routes}


def test_every_function_is_traced_in_the_vpc_and_logs_json_for_a_while(env: Synthesised) -> None:
    kept = {14: "dev", 365: "prod"}
    groups = {g["Properties"]["LogGroupName"]: g["Properties"] for g in _log_groups(env).values()}
    for name, function in env.functions().items():
        assert function["TracingConfig"] == {"Mode": "Active"}
        assert function["LoggingConfig"]["LogFormat"] == "JSON"
        assert len(function["VpcConfig"]["SubnetIds"]) == 2
        assert groups[f"/aws/lambda/quintet-{env.name}-{name}"]
    assert {kept[group["RetentionInDays"]] for group in groups.values()} == {env.name}


def _log_groups(env: Synthesised) -> dict[str, dict[str, Any]]:
    return {**env.resources("service", "AWS::Logs::LogGroup"), **env.resources("data", "AWS::Logs::LogGroup")}


def test_api_functions_start_from_a_snapshot_in_prod_and_are_called_by_their_alias(
    dev: Synthesised, prod: Synthesised
) -> None:
    for name in FUNCTIONS:
        snap_start = prod.functions()[name].get("SnapStart")
        assert snap_start == ({"ApplyOn": "PublishedVersions"} if name in API_FUNCTIONS else None)
        assert "SnapStart" not in dev.functions()[name]
    for env in (dev, prod):
        aliases = env.resources("service", "AWS::Lambda::Alias").values()
        assert len(aliases) == len(API_FUNCTIONS)
        assert {alias["Properties"]["Name"] for alias in aliases} == {"live"}


def test_each_api_may_call_the_aliases_of_its_functions(env: Synthesised) -> None:
    permissions = [
        p["Properties"]
        for p in env.resources("service", "AWS::Lambda::Permission").values()
        if p["Properties"]["Principal"] == "apigateway.amazonaws.com"
    ]
    called: dict[str, set[str]] = {"RestApi": set(), "WebSocketApi": set()}
    for permission in permissions:
        [api] = [api for api in called if f"'{api}" in str(permission["SourceArn"])]
        name, _, of_alias = permission["FunctionName"]["Ref"].partition("Live")
        assert of_alias
        called[api].add(name)
    assert called["RestApi"] == API_FUNCTIONS
    assert called["WebSocketApi"] == {name for name, function in FUNCTIONS.items() if function.websocket}


def test_releases_in_prod_begin_with_a_tenth_and_go_back_on_an_alarm_that_is_quick_enough(prod: Synthesised) -> None:
    prod.service.resource_count_is("AWS::CodeDeploy::DeploymentGroup", len(API_FUNCTIONS))
    alarms = prod.resources("service", "AWS::CloudWatch::Alarm")
    for group in prod.resources("service", "AWS::CodeDeploy::DeploymentGroup").values():
        properties = group["Properties"]
        assert properties["DeploymentConfigName"] == "CodeDeployDefault.LambdaCanary10Percent5Minutes"
        assert "DEPLOYMENT_STOP_ON_ALARM" in properties["AutoRollbackConfiguration"]["Events"]
        watched = [alarms[alarm["Name"]["Ref"]]["Properties"] for alarm in properties["AlarmConfiguration"]["Alarms"]]
        assert len(watched) == 2  # the function's and the API's
        for alarm in watched:
            [metric] = alarm["Metrics"]
            assert metric["MetricStat"]["Period"] * alarm["EvaluationPeriods"] < 300
    for alias in prod.resources("service", "AWS::Lambda::Alias").values():
        assert "CodeDeployLambdaAliasUpdate" in alias["UpdatePolicy"]


def test_migrations_run_before_any_other_function_changes(env: Synthesised) -> None:
    [(trigger, properties)] = env.resources("service", "Custom::Trigger").items()
    assert properties["Properties"]["HandlerArn"]["Ref"].startswith("dbmigratorFunctionCurrentVersion")
    for kind in ("AWS::Lambda::Function", "AWS::Lambda::Version", "AWS::Lambda::Alias"):
        for name, resource in env.resources("service", kind).items():
            if not name.startswith(("dbmigrator", "AWSCDKTrigger")):
                assert trigger in resource["DependsOn"], name


def test_what_streams_is_invoked_as_a_stream_and_started_by_the_web_adapter(env: Synthesised) -> None:
    streams = {name for name, function in FUNCTIONS.items() if function.streams}
    assert streams == {"ai"}
    for path, methods in env.only("service", "AWS::ApiGateway::RestApi")["Body"]["paths"].items():
        integration = methods["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
        uri = json.dumps(integration["uri"])
        if any(f'"{name}Live' in uri for name in streams):
            assert path.removeprefix("/api").removeprefix("/v1").startswith("/ai")
            assert (integration["responseTransferMode"], integration["timeoutInMillis"]) == ("STREAM", 900_000)
            assert "/2021-11-15/functions/" in uri
            assert "/response-streaming-invocations" in uri
        else:
            assert integration.keys() == {"type", "httpMethod", "uri"}
            assert "/2015-03-31/functions/" in uri
    for name in streams:
        function = env.functions()[name]
        assert function["Handler"] == f"functions/{name}/run.sh"
        [adapter] = [layer for layer in function["Layers"] if "LambdaAdapterLayerArm64" in json.dumps(layer)]
        assert ":753240598075:layer:" in json.dumps(adapter)
        variables = function["Environment"]["Variables"]
        assert variables["AWS_LAMBDA_EXEC_WRAPPER"] == "/opt/bootstrap"
        assert variables["AWS_LWA_INVOKE_MODE"] == "response_stream"


def test_the_stage_is_throttled_traced_measured_and_logged_without_queries(env: Synthesised) -> None:
    stage = env.only("service", "AWS::ApiGateway::Stage")
    [settings] = stage["MethodSettings"]
    assert settings["ThrottlingRateLimit"] == ENVIRONMENTS[env.name].rate_limit
    assert settings["ThrottlingBurstLimit"] == ENVIRONMENTS[env.name].burst_limit
    assert settings["MetricsEnabled"] is True
    assert settings["DataTraceEnabled"] is False
    assert stage["TracingEnabled"] is True
    line = json.loads(stage["AccessLogSetting"]["Format"])
    assert {"request_id", "ip", "status", "latency", "trace"} <= line.keys()
    assert not any("query" in variable.lower() or "authoriz" in variable for variable in line.values())
    assert env.only("service", "AWS::ApiGateway::RestApi")["BinaryMediaTypes"] == ["*/*"]


def test_the_websocket_api_hands_everything_to_one_function_by_its_alias(env: Synthesised) -> None:
    assert env.only("service", "AWS::ApiGatewayV2::Api")["ProtocolType"] == "WEBSOCKET"
    [websocket] = [name for name, function in FUNCTIONS.items() if function.websocket]
    integrations = env.resources("service", "AWS::ApiGatewayV2::Integration")
    routes = {r["Properties"]["RouteKey"]: r["Properties"] for r in _of(env, "Route")}
    assert routes.keys() == {"$connect", "$disconnect", "$default"}
    for route in routes.values():
        [integration] = [name for name in integrations if name in str(route["Target"])]
        assert f"'{websocket}Live" in str(integrations[integration]["Properties"]["IntegrationUri"])
    # What is answered to a frame goes back to the client.
    assert routes["$default"]["RouteResponseSelectionExpression"] == "$default"
    assert len(env.resources("service", "AWS::ApiGatewayV2::RouteResponse")) == 1


def test_the_websocket_stage_is_throttled_measured_and_logged_without_tickets(env: Synthesised) -> None:
    [(_, resource)] = env.resources("service", "AWS::ApiGatewayV2::Stage").items()
    stage = resource["Properties"]
    assert stage["StageName"] == env.name
    settings = stage["DefaultRouteSettings"]
    assert settings["ThrottlingRateLimit"] == ENVIRONMENTS[env.name].rate_limit
    assert settings["ThrottlingBurstLimit"] == ENVIRONMENTS[env.name].burst_limit
    assert settings["DetailedMetricsEnabled"] is True
    line = json.loads(stage["AccessLogSettings"]["Format"])
    assert {"request_id", "ip", "event", "connection_id", "status"} <= line.keys()
    assert not any("query" in variable.lower() for variable in line.values())
    assert any("Account" in name for name in resource["DependsOn"]), "API Gateway may write logs"


def test_who_posts_to_clients_is_told_where_and_may_do_so_on_this_stage_alone(env: Synthesised) -> None:
    told = {name: f["Environment"]["Variables"].get("REALTIME_ENDPOINT") for name, f in env.functions().items()}
    assert {name for name, endpoint in told.items() if endpoint} == {"realtime", "realtime_broadcaster"}
    for policy in env.resources("service", "AWS::IAM::Policy").values():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            if statement["Action"] == "execute-api:ManageConnections":
                assert len(statement["Resource"]) == 2
                for resource in statement["Resource"]:
                    path = resource["Fn::Join"][1][-1]
                    assert re.fullmatch(rf"/{env.name}/(POST|DELETE)/@connections/\*", path)


def _of(env: Synthesised, kind: str) -> list[dict[str, Any]]:
    return list(env.resources("service", f"AWS::ApiGatewayV2::{kind}").values())


def test_what_the_gateway_answers_itself_is_a_problem_with_our_headers(env: Synthesised) -> None:
    responses = env.only("service", "AWS::ApiGateway::RestApi")["Body"]["x-amazon-apigateway-gateway-responses"]
    assert {"DEFAULT_4XX", "DEFAULT_5XX", "THROTTLED", "WAF_FILTERED", "REQUEST_TOO_LARGE"} <= responses.keys()
    for kind, response in responses.items():
        problem = json.loads(response["responseTemplates"]["application/json"])
        assert str(problem["status"]) == response["statusCode"]
        assert problem["title"]
        assert problem["detail"]
        assert problem["instance"] == "$context.requestId"
        headers = {
            name.removeprefix("gatewayresponse.header.").lower(): value
            for name, value in response["responseParameters"].items()
        }
        assert all(re.fullmatch(r"'.*'", value) for value in headers.values()), "a fixed text, not a mapping"
        assert headers["content-type"] == "'application/problem+json'"
        assert headers.keys() >= {
            *("strict-transport-security", "content-security-policy", "x-content-type-options"),
            *("x-frame-options", "referrer-policy", "cache-control", "access-control-allow-origin"),
        }
        assert ("retry-after" in headers) == (response["statusCode"] == "429"), kind
    next_step = json.loads(responses["REQUEST_TOO_LARGE"]["responseTemplates"]["application/json"])["next"]
    stage = "" if ENVIRONMENTS[env.name].domain_name else f"/{env.name}"
    assert next_step == {"rel": "presign-upload", "href": f"{stage}/api/v1/files/presign-upload"}


@pytest.mark.parametrize(
    ("origins", "allowed", "credentials"),
    [
        (("https://a.example",), "'https://a.example'", "'true'"),
        (("https://a.example", "https://b.example"), "'*'", None),
    ],
)
def test_a_front_end_may_read_the_gateways_own_answers(
    origins: tuple[str, ...], allowed: str, credentials: str | None
) -> None:
    body = api_body(title="t", integration_uri=str, cors_origins=origins, stage_path="")
    for response in body["x-amazon-apigateway-gateway-responses"].values():
        parameters = response["responseParameters"]
        assert parameters["gatewayresponse.header.Access-Control-Allow-Origin"] == allowed
        assert parameters.get("gatewayresponse.header.Access-Control-Allow-Credentials") == credentials


def test_the_firewall_has_managed_rules_and_a_limit_per_address(env: Synthesised) -> None:
    acl = env.only("service", "AWS::WAFv2::WebACL")
    rules = {rule["Name"]: rule for rule in acl["Rules"]}
    limit = rules["per-address"]["Statement"]["RateBasedStatement"]
    assert (limit["Limit"], limit["AggregateKeyType"]) == (ENVIRONMENTS[env.name].requests_per_ip, "IP")
    common = rules["AWSManagedRulesCommonRuleSet"]["Statement"]["ManagedRuleGroupStatement"]
    assert {rule["Name"]: rule["ActionToUse"] for rule in common["RuleActionOverrides"]} == {
        "SizeRestrictions_BODY": {"Count": {}},
        "CrossSiteScripting_BODY": {"Count": {}},
        "GenericLFI_BODY": {"Count": {}},
        "GenericRFI_BODY": {"Count": {}},
        "EC2MetaDataSSRF_BODY": {"Count": {}},
    }
    # what those counted is blocked by a later rule, but where bodies are free
    last = rules["bodies"]
    assert last["Priority"] > rules["AWSManagedRulesCommonRuleSet"]["Priority"]
    assert last["Action"] == {"Block": {}}
    labelled, elsewhere = last["Statement"]["AndStatement"]["Statements"]
    assert {label["LabelMatchStatement"]["Key"] for label in labelled["OrStatement"]["Statements"]} == {
        f"awswaf:managed:aws:core-rule-set:{rule}_Body"
        for rule in ("SizeRestrictions", "CrossSiteScripting", "GenericLFI", "GenericRFI", "EC2MetaDataSSRF")
    }
    free = elsewhere["NotStatement"]["Statement"]["RegexMatchStatement"]
    assert free["RegexString"] == free_body_pattern(env.name)
    assert len(free["RegexString"]) <= 512  # WAF takes no more
    association = env.only("service", "AWS::WAFv2::WebACLAssociation")
    assert "Stage" in str(association["ResourceArn"])


def test_neither_logs_nor_samples_of_the_firewall_hold_what_lets_their_reader_in(env: Synthesised) -> None:
    logging = env.only("service", "AWS::WAFv2::LoggingConfiguration")
    [destination] = logging["LogDestinationConfigs"]
    assert f"aws-waf-logs-quintet-{env.name}" in str(destination)
    assert logging["RedactedFields"] == [
        {"QueryString": {}},
        {"SingleHeader": {"Name": "authorization"}},
        {"SingleHeader": {"Name": "cookie"}},
    ]
    protected = env.only("service", "AWS::WAFv2::WebACL")["DataProtectionConfig"]["DataProtections"]
    assert protected == [
        {"Action": "SUBSTITUTION", "Field": {"FieldType": "QUERY_STRING"}},
        {"Action": "SUBSTITUTION", "Field": {"FieldType": "SINGLE_HEADER", "FieldKeys": ["authorization", "cookie"]}},
    ]


def test_bodies_are_free_where_people_write_and_upload() -> None:
    # A description of a project has up to 20,000 characters; a file holds what it holds.
    written = {
        *("projects", "tasks", "conversations", "messages", "files", "folders", "campaigns", "contacts"),
        *("courses", "integrations", "ai"),
    }
    assert set(FREE_BODIES) == written


@pytest.mark.parametrize("route", FREE_BODIES)
@pytest.mark.parametrize("prefix", ["", "/api", "/api/v1"])
@pytest.mark.parametrize("stage", ["", "/prod"])
def test_free_bodies_are_those_of_whole_routes_and_of_nothing_else(stage: str, prefix: str, route: str) -> None:
    pattern = re.compile(free_body_pattern("prod"))
    assert pattern.search(f"{stage}{prefix}/{route}")
    assert pattern.search(f"{stage}{prefix}/{route}/0190/messages")
    assert not pattern.search(f"{stage}{prefix}/{route}x")
    assert not pattern.search(f"{stage}{prefix}/users/{route}")
    assert not pattern.search(f"{stage}{prefix}/auth/login")


def test_there_is_an_alarm_for_everything_that_should_wake_somebody(env: Synthesised) -> None:
    alarms = {a["Properties"]["AlarmName"]: a["Properties"] for a in _alarms(env).values()}
    prefix = f"quintet-{env.name}"
    expected = {
        f"{prefix}-api-Fault-Rate-Errors": ("GreaterThanThreshold", 0.05),
        f"{prefix}-api-Latency-P50-Slow": ("GreaterThanThreshold", 3000),
        f"{prefix}-database-CPU-Usage-Busy": ("GreaterThanThreshold", 80),
        f"{prefix}-PartitionsAhead-Threshold": ("LessThanThreshold", 2),
        f"{prefix}-DeliveriesStuck-Threshold": ("GreaterThanThreshold", 0),
        f"{prefix}-IntegrationError-Threshold": ("GreaterThanThreshold", 10),
        f"{prefix}-schedules-Queue-Message-Count-Max-Dead": ("GreaterThanThreshold", 0),
        **{f"{prefix}-{name}-Fault-Rate-Errors": ("GreaterThanThreshold", 0.05) for name in FUNCTIONS},
        **{f"{prefix}-{name}-DLQ-Queue-Message-Count-Max-Dead": ("GreaterThanThreshold", 0) for name in QUEUES},
    }
    if env.name == "prod":
        expected[f"{prefix}-DatabaseConnectionsCurrentlySessionPinned-Threshold"] = ("GreaterThanThreshold", 5)
    for name, what in expected.items():
        assert (alarms[name]["ComparisonOperator"], alarms[name]["Threshold"]) == what
    for name in FUNCTIONS:
        assert f"{prefix}-{name}-Latency-P99-Slow" in alarms
    for name in QUEUES:
        assert f"{prefix}-{name}-Queue-Message-Age-Max-Late" in alarms


def _alarms(env: Synthesised) -> dict[str, dict[str, Any]]:
    return env.resources("service", "AWS::CloudWatch::Alarm")


def test_alarms_reach_the_topic_and_say_when_they_are_over(env: Synthesised) -> None:
    for alarm in (a["Properties"] for a in _alarms(env).values()):
        if "Release" in alarm["AlarmName"]:  # CodeDeploy's, too nervous to wake anybody
            assert alarm["ActionsEnabled"] is False
        else:
            assert alarm["ActionsEnabled"] is True
            for actions in (alarm["AlarmActions"], alarm["OKActions"]):
                assert "Alarms" in str(actions)


@pytest.mark.parametrize(
    ("metric", "function", "period"),
    [("PartitionsAhead", "maintenance", 86400), ("DeliveriesStuck", "event_dispatcher", 300)],
)
def test_alarms_on_our_own_metrics_read_what_the_functions_write(
    env: Synthesised,
    metric: str,
    function: str,
    period: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # GIVEN what the function writes into its log in this environment
    monkeypatch.setenv("ENVIRONMENT", env.name)
    settings.cache_clear()
    count_metric(metric, 1, function=function)
    settings.cache_clear()
    written = json.loads(capsys.readouterr().out.splitlines()[-1])
    [directive] = written["_aws"]["CloudWatchMetrics"]
    # WHEN its alarm looks
    [alarm] = [a["Properties"] for a in _alarms(env).values() if metric in a["Properties"]["AlarmName"]]
    [query] = alarm["Metrics"]
    read = query["MetricStat"]["Metric"]
    # THEN it sees that number, and takes none at all for an alarm too
    assert (read["Namespace"], read["MetricName"]) == (directive["Namespace"], metric)
    assert {d["Name"]: d["Value"] for d in read["Dimensions"]} == {d: written[d] for d in directive["Dimensions"][0]}
    assert query["MetricStat"]["Period"] == period
    assert alarm["TreatMissingData"] == "breaching"


def test_there_is_one_dashboard_with_every_function_and_queue(env: Synthesised) -> None:
    body = str(env.only("service", "AWS::CloudWatch::Dashboard")["DashboardBody"])
    assert all(name in body for name in (*FUNCTIONS, *QUEUES))


def test_alarms_are_mailed_where_an_address_is_set(prod: Synthesised, dev: Synthesised) -> None:
    prod.data.has_resource_properties("AWS::SNS::Subscription", {"Protocol": "email", "Endpoint": Match.any_value()})
    subscriptions = dev.resources("data", "AWS::SNS::Subscription").values()
    assert {subscription["Properties"]["Protocol"] for subscription in subscriptions} == {"sqs"}


def test_everything_that_can_be_is_tagged(env: Synthesised) -> None:
    tagged = [*env.functions().values(), env.only("data", "AWS::RDS::DBInstance")]
    tagged += [bucket["Properties"] for bucket in env.resources("data", "AWS::S3::Bucket").values()]
    for properties in tagged:
        tags = {tag["Key"]: tag["Value"] for tag in properties["Tags"]}
        assert tags == {"project": "quintet", "environment": env.name}
