"""`python -m infra.local.rehearsal` (`make rehearse`): the stacks deployed into an emulated account, and used.

First the release before this one, then this one over it while a client keeps calling, then the whole end-to-end
suite. No AWS account, no Docker.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import boto3

from infra.bundling import BUILD, compiler
from infra.local.deployment import DeploymentError, deploy, synthesise
from infra.local.environment import aws_variables
from infra.local.events import REGION
from infra.local.postgres import PostgresError
from infra.local.revisions import checked_out, exists
from infra.local.services import services
from infra.local.state import ROOT, LocalError, Running, State
from infra.local.templates import Place

NEXT_RELEASE = "REHEARSED_RELEASE"
"""The variable by which the test of an update knows what to deploy."""

GAPS: dict[str, str] = {
    "RDS, its IAM tokens and TLS": "test_data_stack.py::test_the_database_is_encrypted_and_takes_tokens_over_tls_only",
    "RDS Proxy": "test_data_stack.py::test_the_proxy_uses_iam_from_end_to_end",
    "subnets, NAT, security groups, flow logs": "test_data_stack.py::"
    "test_functions_and_data_have_networks_of_their_own_and_refused_traffic_is_logged",
    "what a backup selects": "test_data_stack.py::test_everything_that_holds_data_is_backed_up_daily_for_35_days",
    "buckets by TLS only": "test_data_stack.py::test_buckets_are_private_encrypted_versioned_and_reached_by_tls_only",
    "queues and topics by TLS only": "test_data_stack.py::test_queues_and_topics_are_encrypted_and_reached_by_tls_only",
    "WAF": "test_service_stack.py::test_the_firewall_has_managed_rules_and_a_limit_per_address",
    "access logs and throttling": "test_service_stack.py::"
    "test_the_stage_is_throttled_traced_measured_and_logged_without_queries",
    "the gateway's own answers": "test_service_stack.py::"
    "test_what_the_gateway_answers_itself_is_a_problem_with_our_headers",
    "who may call a function": "test_service_stack.py::test_each_api_may_call_the_aliases_of_its_functions",
    "answers to WebSocket frames": "test_service_stack.py::"
    "test_the_websocket_api_hands_everything_to_one_function_by_its_alias",
    "streaming": "test_service_stack.py::test_what_streams_is_invoked_as_a_stream_and_started_by_the_web_adapter",
    "SnapStart": "test_service_stack.py::"
    "test_api_functions_start_from_a_snapshot_in_prod_and_are_called_by_their_alias",
    "canary releases": "test_service_stack.py::"
    "test_releases_in_prod_begin_with_a_tenth_and_go_back_on_an_alarm_that_is_quick_enough",
    "what raises an alarm": "test_service_stack.py::test_there_is_an_alarm_for_everything_that_should_wake_somebody",
    "KMS's encryption context": "test_access.py::"
    "test_keys_are_used_through_the_service_they_are_for_and_that_of_integrations_for_one_of_them_at_a_time",
    "which model and which sender": "test_access.py::"
    "test_no_action_and_no_resource_is_a_wildcard_where_it_could_be_named",
    "arm64, and layers in every sandbox": "test_artefact_invoked.py::"
    "test_a_function_answers_what_triggers_it_with_its_bundle_and_its_layers_alone",
}
"""What the emulator cannot do -> the test of `tests/infra` that looks at the templates, or the artefact, for it."""

_STATE = ROOT / ".local" / "rehearsal"
_COMPLAINTS = 20
_ALONE = ("tests/e2e/test_update.py", "tests/e2e/test_deployed.py")
"""Tests during which nobody else may use the stand."""
_TOGETHER = ("tests/e2e", "tests/integration/test_documented_rows.py")


def main() -> int:
    """Rehearse; answers the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--env", default="dev", help="the environment whose stacks are deployed")
    parser.add_argument("--over", default="HEAD^", metavar="REVISION", help="what is deployed before")
    asked = parser.parse_args()
    state = State(_STATE)
    try:
        state.lock()
        state.clear()
        with tempfile.TemporaryDirectory() as folder:
            return _rehearse(state, Path(folder), asked.env, asked.over)
    except (DeploymentError, LocalError, PostgresError) as error:
        print(error, file=sys.stderr)
        return 1


def _rehearse(state: State, folder: Path, environment: str, revision: str) -> int:
    before = _before(revision, folder)
    _say(f"Synthesising {environment} as of {revision} and as it is here ...")
    with (
        ThreadPoolExecutor() as pool,
        services(state, lambda_python=compiler(), feedback_queue=f"quintet-{environment}-email_feedback") as there,
    ):
        old, new = [
            pool.submit(synthesise, checkout, environment, folder / f"{name}.out")
            for name, checkout in (("before", before), ("now", ROOT))
        ]
        place = Place(there.endpoint, there.app_url, there.owner_url)
        release = old.result()
        _say(f"Deploying {revision} ...")
        outputs = deploy(release, place)
        url = next(value for name, value in outputs.items() if name.startswith("RestApiUrl"))
        told = _told(place) | {NEXT_RELEASE: new.result().write()}
        state.say(Running(os.getpid(), url, told))
        variables = {"BASE_URL": url, "QUINTET_STATE": str(state.path)}
        _say("Deploying what is here over it, while a client keeps calling ...")
        failed = _pytest(*_ALONE, variables=variables)
        if not failed:
            _say(f"Using it at {url} ...")
            ignored = [f"--ignore={file}" for file in _ALONE]
            failed = _pytest("-n2", "--no-loadscope-reorder", *_TOGETHER, *ignored, variables=variables)
        if failed:
            _say("What the functions complained of meanwhile, how often and why:")
            for complaint, times in _complaints(place).most_common(_COMPLAINTS):
                print(f"{times:9} x {complaint}")
    if not failed:
        _say("Rehearsed. What the emulator cannot do, a test asserts in the templates:")
        for what, test in GAPS.items():
            print(f"          {what}: {test}")
    return failed


def _before(revision: str, folder: Path) -> Path:
    """The code that is deployed first."""
    if not exists(revision):
        _say(f"There is no {revision} in this clone: what is here is deployed over itself.")
        return ROOT
    checkout = checked_out(revision, folder / "before")
    BUILD.mkdir(exist_ok=True)
    (checkout / BUILD.name).symlink_to(BUILD)  # named by content: most is the same
    return checkout


def _complaints(place: Place) -> Counter[str]:
    """Warnings and errors in the functions' logs, and the exceptions behind them."""
    logs = _client("logs", place)
    found: Counter[str] = Counter()
    for group in (
        logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix="/aws/lambda/").search("logGroups")
    ):
        name = group["logGroupName"]
        for event in logs.get_paginator("filter_log_events").paginate(logGroupName=name).search("events"):
            with suppress(ValueError, TypeError, KeyError):
                line = json.loads(event["message"])
                if line["level"] in ("WARNING", "ERROR", "CRITICAL"):
                    reason = str(line.get("exception") or line.get("error") or "").strip().rpartition("\n")[2]
                    found[": ".join(filter(None, [name.rpartition("/")[2], line["message"], reason]))] += 1
    return found


def _client(service: str, place: Place) -> Any:
    return boto3.Session("test", "test", region_name=REGION).client(service, endpoint_url=place.endpoint)  # type: ignore[call-overload]


def _told(place: Place) -> dict[str, str]:
    """What the functions are told, all of them together, so that tests can look where they look."""
    variables: dict[str, str] = {}
    for page in _client("lambda", place).get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            variables |= function.get("Environment", {}).get("Variables", {})
    variables.pop("PYTHONPATH", None)
    return variables | aws_variables(place.endpoint)


def _pytest(*arguments: str, variables: Mapping[str, str]) -> int:
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env={**os.environ, **variables}, check=False
    ).returncode


_began = time.monotonic()


def _say(what: str) -> None:
    print(f"{time.monotonic() - _began:6.1f} s  {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
