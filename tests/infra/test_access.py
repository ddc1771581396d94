"""Who may do what: the actions of every function, written down a second time by hand."""

from collections import defaultdict
from dataclasses import replace
from typing import Any

import aws_cdk as cdk
import pytest

from functions.manifest import FUNCTIONS, QUEUES, Need
from infra.access import assistant
from infra.config import ENVIRONMENTS
from tests.infra.conftest import Synthesised

EVERY = {
    *("ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"),
    *("ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses"),
    *("xray:PutTelemetryRecords", "xray:PutTraceSegments"),
}
LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
SEND = {"sqs:SendMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"}
CONSUME = {"sqs:ReceiveMessage", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage"} | SEND - {"sqs:SendMessage"}
CONNECT = {"rds-db:connect"}
SOCKETS = {"execute-api:ManageConnections"}
READ_SECRET = {"secretsmanager:GetSecretValue", "kms:Decrypt"}
SEAL, UNSEAL = {"kms:GenerateDataKey"}, {"kms:Decrypt"}
READ = {"s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes"}
READ_FILES = READ | {"s3:ListBucket", "kms:Decrypt"}
WRITE_FILES = {
    *("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
    *("kms:GenerateDataKey", "kms:Decrypt"),
}
DELETE_FILES = {"s3:DeleteObject", "s3:DeleteObjectVersion", "s3:AbortMultipartUpload", "s3:ListBucketVersions"}

ALLOWED: dict[str, set[str]] = {
    "auth": CONNECT | READ_SECRET | SEND,
    "users": CONNECT | READ_FILES | SEND,
    "projects": CONNECT | SEND,
    "tasks": CONNECT | SEND,
    "conversations": CONNECT | SEND,
    "files": CONNECT | READ_FILES | WRITE_FILES | SEND,
    "campaigns": CONNECT | READ_FILES | WRITE_FILES | SEND,
    "agents": CONNECT | SEND,
    "courses": CONNECT | SEND,
    "reports": CONNECT,
    "webhooks": CONNECT | SEND,
    "notifications": CONNECT | READ_SECRET | SEND,
    "search": CONNECT,
    "integrations": CONNECT | READ_SECRET | SEAL | SEND,
    "ai": CONNECT | SEND | {"bedrock:InvokeModelWithResponseStream"},
    "events": CONNECT,
    "realtime": CONNECT | SOCKETS,
    "system": CONNECT | {"s3:ListBucket", "sqs:GetQueueAttributes"},
    "upload_processor": CONNECT | READ_FILES | DELETE_FILES | CONSUME | SEND,
    "campaign_processor": CONNECT | READ_FILES | WRITE_FILES | CONSUME | SEND,
    "exporter": CONNECT | READ_FILES | WRITE_FILES | CONSUME | SEND,
    "notifier": CONNECT | CONSUME | SEND,
    "push_sender": CONNECT | CONSUME | READ_SECRET,
    "realtime_broadcaster": CONNECT | CONSUME | SOCKETS,
    "email_sender": CONNECT | CONSUME | {"ses:SendEmail"},
    "webhook_sender": CONNECT | CONSUME | SEND,
    "integration_syncer": CONNECT | READ_SECRET | SEAL | UNSEAL | READ_FILES | WRITE_FILES | CONSUME | SEND,
    "email_feedback": CONNECT | CONSUME,
    "event_dispatcher": CONNECT | READ_FILES | SEND,
    "reminders": CONNECT | SEND,
    "maintenance": READ_SECRET
    | READ_FILES
    | SEND
    | {"secretsmanager:PutSecretValue", "s3:PutObject", "s3:AbortMultipartUpload", "kms:GenerateDataKey"},
    "db_migrator": READ_SECRET,
}
"""On top of EVERY and LOGS. A new function has no row, and so fails until somebody has thought about it."""


def grants(env: Synthesised) -> dict[str, dict[str, list[Any]]]:
    """Function -> action -> the resources it is allowed on."""
    roles = {
        resource["Properties"]["Role"]["Fn::GetAtt"][0]: resource["Properties"]["FunctionName"]
        for resource in env.resources("service", "AWS::Lambda::Function").values()
        if "FunctionName" in resource["Properties"]
    }
    found: dict[str, dict[str, list[Any]]] = {}
    for policy in env.resources("service", "AWS::IAM::Policy").values():
        [role] = policy["Properties"]["Roles"]
        actions = found.setdefault(roles.pop(role["Ref"]).removeprefix(f"quintet-{env.name}-"), defaultdict(list))
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            assert statement["Effect"] == "Allow"
            for action in _list(statement["Action"]):
                actions[action] += _list(statement["Resource"])
    assert not roles, "every function has exactly one policy"
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_a_function_may_do_what_it_needs_and_nothing_else(env: Synthesised) -> None:
    found = grants(env)
    assert found.keys() == FUNCTIONS.keys() == ALLOWED.keys()
    for name, actions in found.items():
        # A schedule's dead letters are sent by Lambda in the function's name.
        extra = SEND if FUNCTIONS[name].schedule else set()
        assert set(actions) == EVERY | LOGS | ALLOWED[name] | extra, name


def test_no_action_and_no_resource_is_a_wildcard_where_it_could_be_named(env: Synthesised) -> None:
    for actions in grants(env).values():
        for action, resources in actions.items():
            assert "*" not in action
            assert ("*" in resources) == (action in EVERY)


def test_the_roles_are_those_functions_alone(env: Synthesised) -> None:
    for name, role in env.resources("service", "AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role["Properties"] or "Function" not in name
        [statement] = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert set(statement["Principal"]) == {"Service"}


@pytest.mark.parametrize(
    ("action", "resource", "functions"),
    [
        ("secretsmanager:GetSecretValue", "TokenSecret", {"auth", "maintenance", "db_migrator"}),
        ("secretsmanager:PutSecretValue", "TokenSecret", {"maintenance"}),
        ("secretsmanager:GetSecretValue", "PushSecret", {"notifications", "push_sender"}),
        ("secretsmanager:PutSecretValue", "PushSecret", set()),
        ("secretsmanager:GetSecretValue", "OAuthClients", {"auth", "integrations", "integration_syncer"}),
        ("secretsmanager:PutSecretValue", "OAuthClients", set()),
        ("kms:GenerateDataKey", "SealingKey", {"integrations", "integration_syncer"}),
        ("kms:Decrypt", "SealingKey", {"integration_syncer"}),
        ("secretsmanager:GetSecretValue", "MasterUserSecret", {"maintenance", "db_migrator"}),
        ("execute-api:ManageConnections", "WebSocketApi", {"realtime", "realtime_broadcaster"}),
        ("ses:SendEmail", "EmailIdentity", {"email_sender"}),
        ("bedrock:InvokeModelWithResponseStream", "foundation-model", {"ai"}),
        (
            "s3:GetObject",
            "StorageFiles",
            {
                *("files", "campaigns", "campaign_processor", "upload_processor", "event_dispatcher", "maintenance"),
                *("users", "exporter", "integration_syncer"),
            },
        ),
        (
            "s3:PutObject",
            "StorageFiles",
            {"files", "campaigns", "campaign_processor", "exporter", "integration_syncer"},
        ),
        ("s3:PutObject", "StorageArchive", {"maintenance"}),
        ("s3:GetObject", "StorageArchive", {"maintenance"}),
        ("s3:DeleteObject", "StorageArchive", set()),
    ],
)
def test_what_is_precious_is_in_few_hands(env: Synthesised, action: str, resource: str, functions: set[str]) -> None:
    found = grants(env)
    assert {name for name, actions in found.items() if resource in str(actions.get(action, ""))} == functions


def test_a_function_sends_to_its_queues_and_reads_only_the_one_it_consumes(env: Synthesised) -> None:
    for name, actions in grants(env).items():
        for queue, consumer in QUEUES.items():
            logical = f"Queues{queue.replace('_', '')}"
            sends, reads = (
                any(f"{logical}{digit}" in str(actions.get(action, "")) for digit in "0123456789ABCDEF")
                for action in ("sqs:SendMessage", "sqs:ReceiveMessage")
            )
            assert sends == (queue in FUNCTIONS[name].sends_to)
            assert reads == (name == consumer)


def test_who_asks_whether_queue_and_bucket_are_there_is_told_nothing_else(env: Synthesised) -> None:
    # GIVEN what readiness asks: GetQueueAttributes of one queue, HeadBucket (s3:ListBucket) of one bucket
    actions = grants(env)["system"]
    [queue], [bucket] = actions["sqs:GetQueueAttributes"], actions["s3:ListBucket"]
    # THEN it may ask just those, and knows where they are
    assert "Queuesuploads" in str(queue)
    assert "StorageFiles" in str(bucket)
    variables = env.functions()["system"]["Environment"]["Variables"]
    assert {"UPLOADS_QUEUE_URL", "FILES_BUCKET"} <= variables.keys()


def test_keys_are_used_through_the_service_they_are_for_and_that_of_integrations_for_one_of_them_at_a_time(
    env: Synthesised,
) -> None:
    for policy in env.resources("service", "AWS::IAM::Policy").values():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            if not any(action.startswith("kms:") for action in _list(statement["Action"])):
                continue
            if "SealingKey" in str(statement["Resource"]):
                # GIVEN that it is used directly, THEN with an encryption context that says whose it is, and no other
                named = {"integration_id", "user_id"}
                assert set(statement["Condition"]["ForAllValues:StringEquals"]["kms:EncryptionContextKeys"]) == named
                assert statement["Condition"]["Null"] == {f"kms:EncryptionContext:{name}": "false" for name in named}
            else:
                assert "kms:ViaService" in statement["Condition"]["StringEquals"]


def test_only_owners_of_the_schema_are_in_the_group_the_database_lets_in(prod: Synthesised) -> None:
    for name, function in prod.functions().items():
        [group] = function["VpcConfig"]["SecurityGroupIds"]
        owner = Need.DATABASE_OWNER in FUNCTIONS[name].needs
        assert ("NetworkOwner" if owner else "NetworkApplication") in str(group)
    into_database = [
        rule["Properties"]["SourceSecurityGroupId"]["Fn::GetAtt"][0]
        for rule in prod.resources("data", "AWS::EC2::SecurityGroupIngress").values()
        if "DatabaseInstance" in str(rule["Properties"]["GroupId"])
    ]
    assert sorted(name[:-8] for name in into_database) == ["DatabaseProxyGroup", "NetworkOwner"]


@pytest.mark.parametrize(
    ("changes", "told", "allowed"),
    [
        ({"ai_provider": "offline"}, {"AI_PROVIDER": "offline"}, {}),
        (
            {"ai_provider": "openai", "ai_base_url": "https://models.example.com/v1"},
            {"AI_BASE_URL": "https://models.example.com/v1"},
            {},
        ),
        (
            {"ai_provider": "openai", "ai_base_url": "https://m.example.com/v1", "ai_secret_arn": "arn:aws:x:secret"},
            {"AI_SECRET_ID": "arn:aws:x:secret"},
            {"secretsmanager:GetSecretValue": "arn:aws:x:secret"},
        ),
        (
            {"ai_model": "eu.some.model", "ai_model_arns": ("arn:aws:bedrock:profile",)},
            {"AI_PROVIDER": "bedrock", "AI_MODEL": "eu.some.model"},
            {"bedrock:InvokeModelWithResponseStream": "arn:aws:bedrock:profile"},
        ),
    ],
)
def test_the_assistant_may_ask_its_provider_and_nobody_else(
    changes: dict[str, Any], told: dict[str, str], allowed: dict[str, str]
) -> None:
    access = assistant(cdk.Stack(), replace(ENVIRONMENTS["dev"], **changes))
    assert told.items() <= access.environment.items()
    statements = [statement.to_statement_json() for statement in access.statements]
    assert {statement["Action"]: statement["Resource"] for statement in statements} == allowed


def test_an_openai_compatible_provider_needs_an_address() -> None:
    with pytest.raises(ValueError, match="ai_base_url"):
        replace(ENVIRONMENTS["dev"], ai_provider="openai")
