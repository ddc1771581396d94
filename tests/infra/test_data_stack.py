"""What is promised of what holds data."""

import re
from dataclasses import replace

import pytest
from aws_cdk.assertions import Match, Template
from cryptography import x509

from infra.app import build, new_app
from infra.bundling import RDS_CERTIFICATES
from infra.config import ENVIRONMENTS, POSTGRES_VERSION
from infra.data_stack import DataStack
from quintet.exports import KEPT, PREFIX
from tests.infra.conftest import Synthesised


def test_the_database_is_encrypted_and_takes_tokens_over_tls_only(env: Synthesised) -> None:
    env.data.has_resource_properties(
        "AWS::RDS::DBInstance",
        {
            "Engine": "postgres",
            "EngineVersion": POSTGRES_VERSION,
            "StorageEncrypted": True,
            "KmsKeyId": Match.any_value(),
            "EnableIAMDatabaseAuthentication": True,
            "ManageMasterUserPassword": True,
            "PubliclyAccessible": False,
            "Port": Match.not_("5432"),
            "EnablePerformanceInsights": True,
            "DatabaseInsightsMode": "standard",
            "EnableCloudwatchLogsExports": Match.array_with(["postgresql"]),
            "BackupRetentionPeriod": 35,
        },
    )
    env.data.has_resource_properties(
        "AWS::RDS::DBParameterGroup",
        {
            "Family": "postgres18",
            "Parameters": {
                "rds.force_ssl": "1",
                "log_min_duration_statement": "500",
                "log_parameter_max_length": "0",  # a slow statement is no reason to log a prompt
                "jit": "0",
            },
        },
    )


def test_prod_survives_a_zone_and_a_slip_of_the_hand(prod: Synthesised, dev: Synthesised) -> None:
    assert prod.only("data", "AWS::RDS::DBInstance")["MultiAZ"] is True
    assert prod.only("data", "AWS::RDS::DBInstance")["DeletionProtection"] is True
    prod.data.resource_count_is("AWS::EC2::NatGateway", 2)
    for kind in ("AWS::RDS::DBInstance", "AWS::S3::Bucket", "AWS::KMS::Key", "AWS::SecretsManager::Secret"):
        for resource in prod.resources("data", kind).values():
            assert resource["DeletionPolicy"] == "RetainExceptOnCreate"
    assert dev.only("data", "AWS::RDS::DBInstance")["MultiAZ"] is False
    dev.data.resource_count_is("AWS::EC2::NatGateway", 1)
    dev.data.resource_count_is("AWS::RDS::DBProxy", 0)


def test_the_proxy_uses_iam_from_end_to_end(prod: Synthesised) -> None:
    prod.data.has_resource_properties(
        "AWS::RDS::DBProxy",
        {"DefaultAuthScheme": "IAM_AUTH", "RequireTLS": True, "EngineFamily": "POSTGRESQL", "Auth": Match.absent()},
    )
    prod.data.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": [Match.object_like({"Action": "rds-db:connect", "Effect": "Allow"})],
            },
            "Roles": [{"Ref": Match.string_like_regexp("DatabaseProxyRole")}],
        },
    )


def test_functions_and_data_have_networks_of_their_own_and_refused_traffic_is_logged(env: Synthesised) -> None:
    subnets = env.resources("data", "AWS::EC2::Subnet").values()
    assert len(subnets) == 6
    assert all(not subnet["Properties"]["MapPublicIpOnLaunch"] for subnet in subnets if "public" not in str(subnet))
    # The public ones go to the internet, those of functions through NAT, those of the data nowhere.
    routes = [route["Properties"] for route in env.resources("data", "AWS::EC2::Route").values()]
    ways = {(re.sub(r"Subnet.*", "", route["RouteTableId"]["Ref"]), *sorted(route)) for route in routes}
    assert ways == {
        ("NetworkVpcpublic", "DestinationCidrBlock", "GatewayId", "RouteTableId"),
        ("NetworkVpcfunctions", "DestinationCidrBlock", "NatGatewayId", "RouteTableId"),
    }
    env.data.has_resource_properties("AWS::EC2::FlowLog", {"ResourceType": "VPC"})
    env.data.has_resource_properties("AWS::EC2::VPCEndpoint", {"VpcEndpointType": "Gateway"})
    # nothing but security groups may come in anywhere
    for rule in env.resources("data", "AWS::EC2::SecurityGroupIngress").values():
        assert "SourceSecurityGroupId" in rule["Properties"]
    for group in env.resources("data", "AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group["Properties"]


def test_buckets_are_private_encrypted_versioned_and_reached_by_tls_only(env: Synthesised) -> None:
    buckets = env.resources("data", "AWS::S3::Bucket")
    assert len(buckets) == 3
    for name, bucket in buckets.items():
        properties = bucket["Properties"]
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        [rule] = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        is_log = "LoggingConfiguration" not in properties
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == ("AES256" if is_log else "aws:kms")
        assert is_log == name.startswith("StorageLogs")
        lifecycle, *more = properties["LifecycleConfiguration"]["Rules"]
        exports = [(rule["Prefix"], rule["ExpirationInDays"]) for rule in more]
        assert exports == ([(PREFIX, KEPT.days + 1)] if name.startswith("StorageFiles") else [])
        assert lifecycle["NoncurrentVersionExpiration"]["NoncurrentDays"] > 0
        if not is_log:
            assert lifecycle["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
        env.data.has_resource_properties(
            "AWS::S3::BucketPolicy",
            {
                "Bucket": {"Ref": name},
                "PolicyDocument": {
                    "Statement": Match.array_with(
                        [Match.object_like({"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}})]
                    )
                },
            },
        )


def test_an_upload_is_announced_on_its_queue_and_browsers_may_make_it(env: Synthesised) -> None:
    [files] = [b for name, b in env.resources("data", "AWS::S3::Bucket").items() if name.startswith("StorageFiles")]
    [announced] = files["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    assert announced["Filter"]["S3Key"]["Rules"] == [{"Name": "prefix", "Value": "uploads/"}]
    assert announced["Queue"]["Fn::GetAtt"][0].startswith("Queuesuploads")
    [policy] = files["DependsOn"]
    statements = env.resources("data", "AWS::SQS::QueuePolicy")[policy]["Properties"]["PolicyDocument"]["Statement"]
    [s3] = [s for s in statements if s["Principal"] == {"Service": "s3.amazonaws.com"}]
    assert s3["Condition"]["StringEquals"] == {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}
    [cors] = files["Properties"]["CorsConfiguration"]["CorsRules"]
    assert tuple(cors["AllowedOrigins"]) == ENVIRONMENTS[env.name].cors_origins


def test_queues_and_topics_are_encrypted_and_reached_by_tls_only(env: Synthesised) -> None:
    for stack in ("data", "service"):
        queues = env.resources(stack, "AWS::SQS::Queue")
        policies = {
            policy["Properties"]["Queues"][0]["Ref"]: policy["Properties"]["PolicyDocument"]["Statement"]
            for policy in env.resources(stack, "AWS::SQS::QueuePolicy").values()
        }
        for name, queue in queues.items():
            assert queue["Properties"]["SqsManagedSseEnabled"] is True
            denied = [statement for statement in policies[name] if statement["Effect"] == "Deny"]
            assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    topics = env.resources("data", "AWS::SNS::Topic").values()
    assert len(topics) == 2
    assert all("KmsMasterKeyId" in topic["Properties"] for topic in topics)


def test_everything_that_holds_data_is_backed_up_daily_for_35_days(env: Synthesised) -> None:
    [rule] = env.only("data", "AWS::Backup::BackupPlan")["BackupPlan"]["BackupPlanRule"]
    assert rule["Lifecycle"] == {"DeleteAfterDays": 35}
    assert rule["ScheduleExpression"] == "cron(0 3 * * ? *)"
    resources = str(env.only("data", "AWS::Backup::BackupSelection")["BackupSelection"]["Resources"])
    assert all(part in resources for part in ("DatabaseInstance", "StorageFiles", "StorageArchive"))
    vault = env.only("data", "AWS::Backup::BackupVault")
    assert vault["Notifications"]["BackupVaultEvents"] == ["BACKUP_JOB_FAILED"]


def test_bounces_and_complaints_come_back_by_sns_to_their_queue(env: Synthesised) -> None:
    env.data.has_resource_properties(
        "AWS::SES::ConfigurationSetEventDestination",
        {"EventDestination": {"MatchingEventTypes": ["bounce", "complaint"], "SnsDestination": Match.any_value()}},
    )
    env.data.has_resource_properties(
        "AWS::SNS::Subscription",
        {
            "Protocol": "sqs",
            "RawMessageDelivery": False,
            "Endpoint": {"Fn::GetAtt": [Match.string_like_regexp("Queuesemailfeedback"), "Arn"]},
        },
    )
    assert env.only("data", "AWS::SES::ConfigurationSet")["DeliveryOptions"]["TlsPolicy"] == "REQUIRE"


def test_the_secrets_are_random_and_encrypted_by_a_key_that_turns(env: Synthesised) -> None:
    secrets = {
        name[:-8]: secret["Properties"] for name, secret in env.resources("data", "AWS::SecretsManager::Secret").items()
    }
    assert secrets.keys() == {"TokenSecret", "PushSecret", "OAuthClients"}
    assert all("KmsKeyId" in secret for secret in secrets.values())
    # What providers gave us nobody can make up: there is none of it until an operator writes it.
    assert secrets.pop("OAuthClients")["SecretString"] == "{}"
    for secret in secrets.values():
        assert secret["GenerateSecretString"]["PasswordLength"] >= 64
    assert all(key["Properties"]["EnableKeyRotation"] for key in env.resources("data", "AWS::KMS::Key").values())


def test_no_service_has_the_key_of_the_data_in_its_own_name_and_topics_have_another(env: Synthesised) -> None:
    # GIVEN the services that each key lets in
    services: dict[str, set[str]] = {}
    for name, key in env.resources("data", "AWS::KMS::Key").items():
        found = services.setdefault(name, set())
        for statement in key["Properties"]["KeyPolicy"]["Statement"]:
            allowed = statement["Principal"].get("Service", [])
            found.update([allowed] if isinstance(allowed, str) else allowed)
    # THEN they have one key, which encrypts the topics they publish to, and nothing else
    ours = {name for name in services if not services[name]}
    assert {name[:-8] for name in ours} == {"Key", "SealingKey"}
    [topics] = services.keys() - ours
    assert services[topics] == {f"{name}.amazonaws.com" for name in ("backup", "cloudwatch", "ses")}
    using = {
        resource["Type"]
        for name, resource in env.resources("data").items()
        if name != topics and f"'{topics}'" in str(resource)
    }
    assert using == {"AWS::SNS::Topic", "AWS::KMS::Alias"}
    assert all(
        topics in str(t["Properties"]["KmsMasterKeyId"]) for t in env.resources("data", "AWS::SNS::Topic").values()
    )


def test_the_certificates_are_roots_of_rds_good_for_years() -> None:
    certificates = x509.load_pem_x509_certificates(RDS_CERTIFICATES.read_bytes())
    assert len(certificates) >= 84
    for certificate in certificates:
        certificate.verify_directly_issued_by(certificate)
        assert "Amazon RDS" in certificate.subject.rfc4514_string()
        assert certificate.not_valid_after_utc.year >= 2050


def test_a_region_whose_certificate_is_not_there_is_refused_with_the_next_step() -> None:
    env = replace(ENVIRONMENTS["dev"], region="mars-north-1")
    with pytest.raises(Exception, match=r"no certificate for mars-north-1.*curl"):
        build(new_app(), env)


def test_a_database_that_begins_as_a_snapshot_is_another_one_and_says_nothing_again_that_the_snapshot_holds(
    prod: Synthesised,
) -> None:
    # CloudFormation refuses to replace an instance by one of the same name, and RDS these beside a snapshot.
    instances = []
    for snapshot in ("before-the-accident", "awsbackup:job-1"):
        env = replace(ENVIRONMENTS["prod"], database_snapshot=snapshot)
        made = Template.from_stack(DataStack(new_app(), "quintet-prod-data", env=env)).to_json()["Resources"]
        [(name, instance)] = [(n, r) for n, r in made.items() if r["Type"] == "AWS::RDS::DBInstance"]
        assert [name] == list(prod.resources("data", "AWS::RDS::DBInstance"))
        assert instance["UpdateReplacePolicy"] == "Retain"  # the one before stays
        instances.append(instance["Properties"])
        logs = [r["Properties"]["LogGroupName"] for r in made.values() if r["Type"] == "AWS::Logs::LogGroup"]
        assert f"/aws/rds/instance/{instances[-1]['DBInstanceIdentifier']}/postgresql" in logs
        assert instances[-1]["DBSnapshotIdentifier"] == snapshot
    usual = prod.only("data", "AWS::RDS::DBInstance")
    names = {properties.pop("DBInstanceIdentifier") for properties in (usual, *instances)}
    assert len(names) == 3
    held_by_the_snapshot = {"DBName", "KmsKeyId", "MasterUsername", "StorageEncrypted"}
    expected = usual.keys() - {"Tags"} - held_by_the_snapshot | {"DBSnapshotIdentifier"}
    assert [properties.keys() - {"Tags"} for properties in instances] == [expected, expected]
