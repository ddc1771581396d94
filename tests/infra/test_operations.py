"""The operator's page knows every alarm there is, and none that there is not."""

import json
import re
from fnmatch import fnmatchcase

from tests.infra.conftest import ROOT, Synthesised


def test_every_alarm_has_an_entry_of_the_operators_page_and_every_entry_an_alarm(
    dev: Synthesised, prod: Synthesised
) -> None:
    page = (ROOT / "docs/operations.md").read_text()
    _, _, after = page.partition("\n## Alarms\n")
    of_alarms, _, _ = after.partition("\n## ")
    # The entry of one alarm before that of its kind.
    entries = sorted(re.findall(r"^### `(.+)`$", of_alarms, re.MULTILINE), key=lambda entry: "*" in entry)
    used, without = set(), []
    for env in (dev, prod):
        alarms = env.resources("service", "AWS::CloudWatch::Alarm").values()
        for alarm in alarms:
            name = alarm["Properties"]["AlarmName"].removeprefix(f"quintet-{env.name}-")
            found = [entry for entry in entries if fnmatchcase(name, entry)]
            used.update(found[:1])
            without += [] if found else [f"quintet-{env.name}-{name}"]
    assert not without, f"docs/operations.md, Alarms, has no entry for {without}"
    assert used == set(entries), f"no alarm is called {set(entries) - used}"


def test_what_a_reader_is_to_look_for_is_there(dev: Synthesised, prod: Synthesised) -> None:
    """Logical ids and outputs begin as the page has them: those of one resource."""
    page = (ROOT / "docs/operations.md").read_text()
    sought = set(re.findall(r'resource (data|service) (\w+::\w+) "?([A-Za-z]+)', page)) - {
        ("data", "S3::Bucket", "Storage")
    }
    assert len(sought) > 5
    for stack, kind, beginning in sought:
        here = prod if kind in ("RDS::DBProxy", "CodeDeploy::DeploymentGroup") else dev
        names = [name for name in here.resources(stack, f"AWS::{kind}") if name.startswith(beginning)]
        assert len(names) == 1, f"{kind} {beginning}: {names}"
    for stack, beginning in re.findall(r"output (data|service) (\w+)", page):
        outputs = {"data": dev.data, "service": dev.service}[stack].find_outputs("*")
        assert any(name.startswith(beginning) for name in outputs), (beginning, list(outputs))


def test_the_concurrency_a_reader_is_told_to_have_is_what_dev_takes_with_what_lambda_keeps(dev: Synthesised) -> None:
    reserved = sum(function.get("ReservedConcurrentExecutions", 0) for function in dev.functions().values())
    assert f"is to be {reserved + 100} at least in dev" in (ROOT / "docs/operations.md").read_text()


def test_no_function_may_invoke_the_one_that_makes_administrators_and_only_its_schedule_does(env: Synthesised) -> None:
    roles = {**env.resources("service", "AWS::IAM::Policy"), **env.resources("service", "AWS::IAM::Role")}
    invoking = {name: json.dumps(role) for name, role in roles.items() if '"lambda:' in json.dumps(role)}
    [(name, role)] = invoking.items()  # that of CDK's own, which runs the migrations
    assert name.startswith("AWSCDKTrigger")
    assert "maintenance" not in role
    [permission] = [
        permission["Properties"]
        for permission in env.resources("service", "AWS::Lambda::Permission").values()
        if "maintenance" in json.dumps(permission["Properties"]["FunctionName"])
    ]
    assert permission["Principal"] == "events.amazonaws.com"
    assert "Schedulesmaintenance" in json.dumps(permission["SourceArn"])
