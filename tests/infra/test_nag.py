"""cdk-nag runs, and each reason we gave it still answers a finding."""

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3

from infra import nag
from infra.app import build, new_app
from infra.config import ENVIRONMENTS, Slack

EVERYTHING = replace(
    ENVIRONMENTS["prod"],
    name="everything",
    multi_az=False,
    keep_data=False,
    slack=Slack(workspace_id="T0123456", channel_id="C0123456"),
    domain_name="api.quintet.example",
    certificate_arn="arn:aws:acm:eu-west-1:111111111111:certificate/0190",
    cdn=True,
    same_site_cookies=True,
    sentry_dsn="https://key@sentry.example/1",
)
"""An environment that takes every branch there is."""


@dataclass(frozen=True)
class Unheard:
    """An app synthesised without one acknowledgement, those that would have been made, and what nag found."""

    folder: Path
    acknowledged: dict[str, set[str]]  # construct path -> findings
    found: set[tuple[str, str]]  # finding, construct path

    def template(self, stack: str) -> dict[str, Any]:
        return dict(json.loads((self.folder / f"quintet-everything-{stack}.template.json").read_text())["Resources"])


@pytest.fixture(scope="module")
def unheard(tmp_path_factory: pytest.TempPathFactory) -> Unheard:
    acknowledged: dict[str, set[str]] = defaultdict(set)

    def record(scope: Any, *findings: str) -> None:
        acknowledged[scope.node.path].update(findings)

    class Deaf:
        def __init__(self, scope: Any) -> None:
            self.scope = scope

        def acknowledge(self, *rules: cdk.Acknowledgment) -> None:
            assert all(len(rule.reason) > 20 for rule in rules)
            record(self.scope, *(rule.id for rule in rules))

    folder = tmp_path_factory.mktemp("everything")
    real = cdk.Validations.of
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cdk.Validations, "of", lambda scope: real(scope) if cdk.App.is_app(scope) else Deaf(scope))
        app = new_app(str(folder))
        build(app, EVERYTHING)
        with pytest.raises(RuntimeError, match="AwsSolutions"):
            app.synth()
    report = json.loads((folder / "validation-report.json").read_text())
    found = {
        (violation["ruleName"], construct["constructPath"])
        for plugin in report["pluginReports"]
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }
    return Unheard(folder, dict(acknowledged), found)


def test_every_finding_is_acknowledged_where_it_is(unheard: Unheard) -> None:
    assert {rule.partition("-")[0] for rule, _ in unheard.found} == {"AwsSolutions", "Serverless", "Annotation::@aws"}
    for finding, path in unheard.found:
        parts = path.split("/")
        ancestors = ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        assert any(finding in unheard.acknowledged.get(ancestor, ()) for ancestor in ancestors), (finding, path)


def test_every_reason_answers_a_finding(unheard: Unheard) -> None:
    assert {finding.partition("[")[0] for finding, _ in unheard.found} == nag.REASONS.keys()


def test_nothing_is_acknowledged_on_a_whole_stack(unheard: Unheard) -> None:
    assert all("/" in path for path in unheard.acknowledged)


@pytest.mark.parametrize("rule", ["AwsSolutions-S1", "Serverless-LambdaTracing"])
def test_a_new_violation_fails_the_synthesis(rule: str) -> None:
    # GIVEN an app with a bucket and a function as careless as can be
    app = new_app()
    stack = cdk.Stack(app, "careless")
    s3.Bucket(stack, "Bucket")
    lambda_.Function(
        stack,
        "Function",
        runtime=lambda_.Runtime.PYTHON_3_13,
        handler="index.handler",
        code=lambda_.Code.from_inline("handler = None"),
    )
    # WHEN it is checked THEN it does not pass
    nag.check(app)
    with pytest.raises(RuntimeError, match=rule):
        app.synth()


def test_alarms_go_to_slack_and_the_api_has_a_name_where_they_are_set(unheard: Unheard) -> None:
    kinds = {resource["Type"]: resource["Properties"] for resource in unheard.template("data").values()}
    assert kinds["AWS::Chatbot::SlackChannelConfiguration"]["SlackChannelId"] == "C0123456"
    resources = unheard.template("service").values()
    kinds = {resource["Type"]: resource["Properties"] for resource in resources}
    assert kinds["AWS::ApiGateway::DomainName"]["DomainName"] == "api.quintet.example"
    assert kinds["AWS::ApiGateway::RestApi"]["DisableExecuteApiEndpoint"] is True
    functions = [r["Properties"] for r in resources if r["Type"] == "AWS::Lambda::Function"]
    variables = {f["FunctionName"]: f["Environment"]["Variables"] for f in functions if "FunctionName" in f}
    assert "Distribution" in str(variables["quintet-everything-email_sender"]["API_URL"])  # the CDN's name
    assert all(v["SENTRY_DSN"] and v["SAME_SITE_COOKIES"] == "true" for v in variables.values())


def test_a_name_without_its_certificate_is_refused() -> None:
    with pytest.raises(ValueError, match="certificate_arn"):
        replace(ENVIRONMENTS["dev"], domain_name="api.quintet.example")
