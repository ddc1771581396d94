"""The manifest and the templates say the same."""

import re
from dataclasses import fields
from typing import Any

from functions.manifest import CATCH_ALL, FUNCTIONS, PREFIXES, QUEUES, ROUTES, Need, handler_path
from infra.api_body import api_paths
from infra.config import ENVIRONMENTS
from quintet.config import Settings
from tests.infra.conftest import Synthesised

POSTGRES_CONNECTIONS = {"t4g.small": 180, "m7g.large": 800}
"""What an instance class allows, less what RDS keeps for itself."""


def test_exactly_the_functions_of_the_manifest_are_deployed(env: Synthesised) -> None:
    functions = env.functions()
    assert functions.keys() == FUNCTIONS.keys()
    for name, function in FUNCTIONS.items():
        deployed = functions[name]
        assert deployed["Handler"] == handler_path(name)
        assert (deployed["MemorySize"], deployed["Timeout"]) == (function.memory, function.timeout)
        assert (deployed["Runtime"], deployed["Architectures"]) == ("python3.13", ["arm64"])
        assert deployed["Description"] == function.description
        assert len(deployed["Layers"]) == 2 + function.streams


def test_nothing_else_runs_code_but_the_trigger_that_cdk_brings(env: Synthesised) -> None:
    others = [
        name
        for stack in ("data", "service")
        for name, resource in env.resources(stack, "AWS::Lambda::Function").items()
        if "FunctionName" not in resource["Properties"]
    ]
    [name] = others
    assert name.startswith("AWSCDKTriggerCustomResourceProvider")


def test_each_queue_has_its_dead_letters_and_feeds_its_function(env: Synthesised) -> None:
    queues = env.resources("data", "AWS::SQS::Queue")
    names = {resource["Properties"]["QueueName"]: resource["Properties"] for resource in queues.values()}
    prefix = f"quintet-{env.name}-"
    assert names.keys() == {f"{prefix}{name}{suffix}" for name in QUEUES for suffix in ("", "-dead-letters")}
    for name, consumer in QUEUES.items():
        manifest = FUNCTIONS[consumer]
        assert manifest.queue
        queue = names[prefix + name]
        dead_letters = queues[queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]["Properties"]
        assert dead_letters["QueueName"] == f"{prefix}{name}-dead-letters"
        assert dead_letters["MessageRetentionPeriod"] == 14 * 24 * 3600
        assert queue["RedrivePolicy"]["maxReceiveCount"] == manifest.queue.max_receive_count
        assert queue["VisibilityTimeout"] >= 6 * manifest.timeout

    mappings = env.resources("service", "AWS::Lambda::EventSourceMapping").values()
    assert len(mappings) == len(QUEUES)
    for mapping in (m["Properties"] for m in mappings):
        [name] = [n for n in QUEUES if n.replace("_", "") in re.findall(r"Queues([a-z]+?)[0-9A-F]{8}", str(mapping))]
        consumer = QUEUES[name]
        queue_settings = FUNCTIONS[consumer].queue
        assert queue_settings
        assert mapping["FunctionName"]["Ref"].startswith(consumer.replace("_", ""))
        assert mapping["BatchSize"] == queue_settings.batch_size
        assert mapping["ScalingConfig"] == {"MaximumConcurrency": queue_settings.max_concurrency}
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_each_schedule_starts_its_function_and_keeps_what_failed(env: Synthesised) -> None:
    rules = {
        rule["Properties"]["Name"]: rule["Properties"]
        for rule in env.resources("service", "AWS::Events::Rule").values()
    }
    scheduled = {name: function for name, function in FUNCTIONS.items() if function.schedule}
    assert rules.keys() == {f"quintet-{env.name}-{name}" for name in scheduled}
    configured = env.resources("service", "AWS::Lambda::EventInvokeConfig").values()
    assert len(configured) == len(scheduled)
    for config in configured:
        assert "SchedulesDeadLetters" in str(config["Properties"]["DestinationConfig"]["OnFailure"])
    for name, function in scheduled.items():
        rule = rules[f"quintet-{env.name}-{name}"]
        assert (rule["ScheduleExpression"], rule["State"]) == (function.schedule, "ENABLED")
        [target] = rule["Targets"]
        assert target["RetryPolicy"]["MaximumRetryAttempts"] == 2
        assert "SchedulesDeadLetters" in str(target["DeadLetterConfig"])


def test_the_api_has_each_route_under_each_prefix_and_a_catch_all(env: Synthesised) -> None:
    paths = env.only("service", "AWS::ApiGateway::RestApi")["Body"]["paths"]
    assert paths.keys() == api_paths().keys()
    assert len(paths) == (len(ROUTES) + 1) * len(PREFIXES) * 2
    for route, name in {**ROUTES, "{proxy+}": CATCH_ALL}.items():
        for prefix in PREFIXES:
            any_method = paths[f"{prefix}/{route}"]["x-amazon-apigateway-any-method"]
            uri = any_method["x-amazon-apigateway-integration"]["uri"]
            assert re.search(rf"'{name.replace('_', '')}Live[0-9A-F]{{8}}'", str(uri)), (
                "the alias, and of that function"
            )


def test_the_variables_a_function_gets_are_those_its_settings_read(env: Synthesised) -> None:
    known = {field.name.upper() for field in fields(Settings)}
    for name, deployed in env.functions().items():
        variables = deployed["Environment"]["Variables"]
        needs, queues = FUNCTIONS[name].needs, FUNCTIONS[name].sends_to | FUNCTIONS[name].looks_at
        others = ("POWERTOOLS_LOG_LEVEL", "AWS_LAMBDA_EXEC_WRAPPER")
        ours = {key for key in variables if key not in others and not key.endswith("_QUEUE_URL")}
        ours -= {key for key in ours if key.startswith("AWS_LWA_")}
        assert ours <= known
        assert {key for key in variables if key.endswith("_QUEUE_URL")} == {f"{q.upper()}_QUEUE_URL" for q in queues}
        # WHEN they are read as the function reads them
        texts = {key: value if isinstance(value, str) else "from-another-resource" for key, value in variables.items()}
        settings = Settings.read(texts)
        # THEN each need is served, and nothing it has no need of is told
        assert settings.environment == env.name
        assert bool(settings.database_host) == bool(needs & {Need.DATABASE, Need.DATABASE_OWNER})
        assert bool(settings.database_secret_id) == (Need.DATABASE_OWNER in needs)
        assert bool(settings.token_secret_id) == bool(needs & {Need.TOKEN_SECRET, Need.TOKEN_SECRET_ROTATE})
        assert bool(settings.push_secret_id) == (Need.PUSH_SECRET in needs)
        assert bool(settings.oauth_clients_secret_id) == (Need.OAUTH_CLIENTS in needs)
        assert bool(settings.sealing_key_id) == bool(needs & {Need.SEALING, Need.UNSEALING})
        assert bool(settings.files_bucket) == any(need.startswith("files_") for need in needs)
        assert bool(settings.archive_bucket) == (Need.ARCHIVE_WRITE in needs)
        assert bool(settings.ses_configuration_set) == (Need.SEND_EMAIL in needs)
        assert bool(settings.api_url) == (Need.API_URL in needs)
        assert bool(settings.realtime_endpoint) == (Need.SOCKETS in needs)
        assert (settings.ai_provider != "offline") == (Need.AI in needs)


def test_functions_reach_the_database_by_tls_they_can_verify(dev: Synthesised, prod: Synthesised) -> None:
    def endpoint(env: Synthesised, name: str) -> tuple[Any, ...]:
        variables = env.functions()[name]["Environment"]["Variables"]
        kind = "proxy" if "Proxy" in str(variables["DATABASE_HOST"]) else "instance"
        return kind, variables["DATABASE_PORT"], variables["DATABASE_SSLROOTCERT"]

    # The proxy's certificate is a public one, which certifi (the default) knows; the instance's is RDS's own.
    assert endpoint(prod, "projects") == ("proxy", "5432", "")
    direct = ("instance", "54320", "/opt/rds-global-bundle.pem")
    assert endpoint(prod, "db_migrator") == endpoint(dev, "projects") == endpoint(dev, "db_migrator") == direct


def test_without_a_proxy_all_sandboxes_together_fit_into_the_database(dev: Synthesised) -> None:
    settings = ENVIRONMENTS["dev"]
    assert not settings.proxy
    at_once = 0
    for name, function in FUNCTIONS.items():
        reserved = dev.functions()[name].get("ReservedConcurrentExecutions")
        assert reserved == (settings.api_concurrency if function.routes else None)
        at_once += (reserved or 0) * function.connections or (
            function.queue.max_concurrency * function.connections if function.queue else 2
        )
    assert at_once <= POSTGRES_CONNECTIONS[settings.database_class]


def test_the_stacks_stay_far_below_the_limits_of_cloudformation_and_api_gateway(env: Synthesised) -> None:
    for stack in ("data", "service"):
        assert len(env.resources(stack)) < 400  # of 500
    segments = {tuple(path.strip("/").split("/")[:depth]) for path in api_paths() for depth in range(1, 6)}
    assert len(segments) < 250  # of 300 resources in one API
