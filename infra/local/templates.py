"""What a template of ours must lose or change before the AWS emulator deploys it: each rule with its reason.

Nothing else differs from what `cdk deploy` sends to AWS. What goes unrehearsed by that is in `rehearsal.GAPS`, each
with the test of `tests/infra` that looks at the template instead.
"""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from functions.manifest import FUNCTIONS

Template = dict[str, Any]
Properties = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the rehearsal runs: what addresses in the templates are to become."""

    endpoint: str
    """The emulator's."""
    app_url: str
    owner_url: str
    layers: Mapping[str, Path] = field(default_factory=dict)
    """S3 key of a layer -> where it is unpacked."""


REJECTED: dict[str, Any] = {
    "AWS::ApiGatewayV2::RouteResponse": "rejected",
    "AWS::Backup::BackupSelection": "rejected",
    "AWS::CodeDeploy::Application": "rejected",
    "AWS::CodeDeploy::DeploymentGroup": "rejected",
    "AWS::EC2::EIP": "eipalloc-0",
    "AWS::EC2::FlowLog": "fl-0",
    "AWS::EC2::NatGateway": "nat-0",
    "AWS::EC2::SecurityGroupIngress": "sgr-0",
    "AWS::RDS::DBProxy": "arn:aws:rds:us-east-1:000000000000:db-proxy:prx-0",
    "AWS::RDS::DBProxyTargetGroup": "tg-0",
    "AWS::WAFv2::LoggingConfiguration": "rejected",
    "AWS::WAFv2::WebACLAssociation": "rejected",
}
"""Types the emulator rejects, and what stands in for every reference to one."""

UNKNOWN: dict[str, str] = {
    "DkimDNSToken": "dkim",
    "MasterUserSecret.": "arn:aws:secretsmanager:us-east-1:000000000000:secret:rds!db-0",
}
"""Beginnings of attributes it does not know, and what stands in for them."""

CHECKED: dict[str, str] = {
    "bedrock:InvokeModelWithResponseStream": "bedrock:ConverseStream",
    "sqs:SendMessage": "sqs:SendMessageBatch",
}
"""An action of AWS -> what the emulator asks for in a call that this allows."""

UNRESTRICTED = frozenset({"bedrock:InvokeModelWithResponseStream", "ses:SendEmail"})
"""What it checks on every resource, whatever the call names."""


def adapted(template: Template, place: Place) -> Template:
    """A copy of `template` that the emulator deploys."""
    changed = copy.deepcopy(template)
    for rule in RULES:
        changed = rule(changed, place)
    return changed


def take_bodies(template: Template) -> dict[str, Properties]:
    """Take the body out of each REST API; answers them by logical id.

    The emulator would give an API another address whenever its body changes. So `deployment` has it serve the body
    after the stack is there, as API Gateway itself puts a new body into an API.
    """
    return {name: api.pop("Body") for name, api in _of_type(template, "AWS::ApiGateway::RestApi")}


def without_rejected_types(template: Template, _: Place) -> Template:
    """The emulator fails a stack over a type it does not know: those go, and something stands in for references."""
    gone = {name: r["Type"] for name, r in template["Resources"].items() if r["Type"] in REJECTED}
    for name in gone:
        del template["Resources"][name]
    for resource in template["Resources"].values():
        if "DependsOn" in resource:
            needed = resource["DependsOn"]
            resource["DependsOn"] = [n for n in ([needed] if isinstance(needed, str) else needed) if n not in gone]

    def stand_in(value: Properties) -> Any:
        match value:
            case {"Ref": name} | {"Fn::GetAtt": [name, *_]} if name in gone:
                return REJECTED[gone[name]]
        return value

    return _replaced(template, stand_in)


def without_unknown_attributes(template: Template, _: Place) -> Template:
    """The emulator fails a stack over an attribute it does not give: what operators read, and the secret RDS makes."""

    def stand_in(value: Properties) -> Any:
        match value:
            case {"Fn::GetAtt": [_, attribute]}:
                return next((UNKNOWN[name] for name in UNKNOWN if attribute.startswith(name)), value)
        return value

    return _replaced(template, stand_in)


def secrets_by_arn(template: Template, _: Place) -> Template:
    """A secret's `Ref` is its ARN on AWS, and its name in the emulator, where no policy would match it."""
    secrets = {name for name, _properties in _of_type(template, "AWS::SecretsManager::Secret")}

    def by_arn(value: Properties) -> Any:
        match value:
            case {"Ref": name} if name in secrets:
                return {"Fn::GetAtt": [name, "Id"]}
        return value

    return _replaced(template, by_arn)


def permissions_as_checked(template: Template, _: Place) -> Template:
    """The emulator checks some calls under names that AWS does not have, some on no resource, and no KMS context."""

    def checked(value: Properties) -> Any:
        if value.get("Effect") != "Allow" or "Action" not in value:
            return value
        actions = value["Action"] if isinstance(value["Action"], list) else [value["Action"]]
        statement = {**value, "Action": [*actions, *(CHECKED[action] for action in actions if action in CHECKED)]}
        if UNRESTRICTED.intersection(actions):
            statement["Resource"] = "*"
        if "kms:EncryptionContext" in json.dumps(statement.get("Condition", {})):
            del statement["Condition"]
        return statement

    return _replaced(template, checked)


def alarms_on_one_metric(template: Template, _: Place) -> Template:
    """The emulator's alarms name their metric themselves, where ours have a list of one."""
    for _name, alarm in _of_type(template, "AWS::CloudWatch::Alarm"):
        [metric] = alarm.pop("Metrics")
        measured = metric["MetricStat"]
        statistic = "ExtendedStatistic" if measured["Stat"].startswith("p") else "Statistic"
        alarm.update(measured["Metric"], Period=measured["Period"], **{statistic: measured["Stat"]})
    return template


def plain_http(template: Template, _: Place) -> Template:
    """The emulator speaks plain HTTP: it would enforce our policies' refusal of that."""

    def allowed(value: Properties) -> Any:
        if isinstance(statements := value.get("Statement"), list):
            return {**value, "Statement": [s for s in statements if not _refuses_plain_http(s)]}
        return value

    for name, resource in list(template["Resources"].items()):
        if resource["Type"] in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
            resource["Properties"] = _replaced(resource["Properties"], allowed)
            if not resource["Properties"]["PolicyDocument"]["Statement"]:
                del template["Resources"][name]
    return template


def nothing_streams(template: Template, _: Place) -> Template:
    """The emulator has no Lambda Web Adapter: what streams is invoked as every function is, and answers at once."""

    def invoked(value: Properties) -> Any:
        if "responseTransferMode" in value:
            text = json.dumps(value["uri"])
            text = text.replace("2021-11-15", "2015-03-31").replace("/response-streaming-invocations", "/invocations")
            kept = {key: value[key] for key in value if key not in ("responseTransferMode", "timeoutInMillis")}
            return {**kept, "uri": json.loads(text)}
        return value

    for _name, function in _of_type(template, "AWS::Lambda::Function"):
        name = _manifest_name(function)
        if name and FUNCTIONS[name].streams:
            function["Handler"] = f"functions.{name}.handler.handler"
            function["Layers"] = [layer for layer in function["Layers"] if "Ref" in layer]
            variables = function["Environment"]["Variables"]
            for variable in [v for v in variables if v.startswith(("AWS_LWA_", "AWS_LAMBDA_EXEC_WRAPPER"))]:
                del variables[variable]
    return _replaced(template, invoked)


def embedded_database(template: Template, place: Place) -> Template:
    """The emulator's RDS has no server: who is told the way to the database is told that to the embedded one."""
    for _name, function in _of_type(template, "AWS::Lambda::Function"):
        name = _manifest_name(function)
        if not name:
            continue
        variables = function["Environment"]["Variables"]
        owner = "DATABASE_SECRET_ID" in variables
        for variable in ("HOST", "PORT", "NAME", "SSLROOTCERT", "SECRET_ID" if owner else "USER"):
            if variables.pop(f"DATABASE_{variable}", None) is None:
                raise ValueError(f"The function {name} is not told DATABASE_{variable}.")
        key = "DATABASE_OWNER_URL" if owner else "DATABASE_URL"
        variables[key] = place.owner_url if owner else place.app_url
    return template


def emulated_addresses(template: Template, place: Place) -> Template:
    """The emulator serves every API below one address, where on AWS each has a name of its own."""
    socket = place.endpoint.replace("http", "ws", 1)

    def served(value: Properties) -> Any:
        match value:
            case {"Fn::Join": ["", ["https://" | "wss://" as scheme, {"Ref": api}, dot, *rest]]} if str(dot).startswith(
                ".execute-api."
            ):
                path = rest[rest.index({"Ref": "AWS::URLSuffix"}) + 1 :]
                at = (place.endpoint if scheme == "https://" else socket) + "/_aws/execute-api/"
                return {"Fn::Join": ["", [at, {"Ref": api}, *path]]}
        return value

    return _replaced(template, served)


def layers_unpacked_once(template: Template, place: Place) -> Template:
    """The emulator unpacks a function's layers for every sandbox, two seconds each: they are on its path instead."""
    keys = {name: layer["Content"]["S3Key"] for name, layer in _of_type(template, "AWS::Lambda::LayerVersion")}
    for _name, function in _of_type(template, "AWS::Lambda::Function"):
        if layers := function.pop("Layers", []):
            folders = [str(place.layers[keys[layer["Ref"]]] / "python") for layer in layers]
            function["Environment"]["Variables"]["PYTHONPATH"] = ":".join(folders)
    return template


RULES: tuple[Callable[[Template, Place], Template], ...] = (
    without_rejected_types,
    without_unknown_attributes,
    secrets_by_arn,
    permissions_as_checked,
    alarms_on_one_metric,
    plain_http,
    nothing_streams,
    embedded_database,
    emulated_addresses,
    layers_unpacked_once,
)


def _of_type(template: Template, kind: str) -> Iterator[tuple[str, Properties]]:
    for name, resource in list(template["Resources"].items()):
        if resource["Type"] == kind:
            yield name, resource["Properties"]


def _manifest_name(function: Properties) -> str:
    """The manifest's name of a function; "" of one that CDK brings."""
    name = str(function.get("FunctionName", "")).rpartition("-")[2]
    return name if name in FUNCTIONS else ""


def _refuses_plain_http(statement: Properties) -> bool:
    condition = statement.get("Condition", {})
    return statement["Effect"] == "Deny" and (
        "aws:SecureTransport" in condition.get("Bool", {}) or "s3:TlsVersion" in condition.get("NumericLessThan", {})
    )


def _replaced(template: Template, replace: Callable[[Properties], Any]) -> Template:
    """`template` with every mapping in it given to `replace`, the outer before the inner."""
    replaced: Template = _walked(template, replace)
    return replaced


def _walked(value: Any, replace: Callable[[Properties], Any]) -> Any:
    if isinstance(value, dict):
        value = replace(value)
    if isinstance(value, dict):
        return {key: _walked(inner, replace) for key, inner in value.items()}
    if isinstance(value, list):
        return [_walked(inner, replace) for inner in value]
    return value
