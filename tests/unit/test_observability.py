"""What the logger brings along, and what Sentry is told."""

import json
import os
import subprocess
import sys

REPORTED = """
import json, sys, types
from quintet.observability import _start_sentry
_start_sentry()

import sentry_sdk
from sentry_sdk.integrations.aws_lambda import _wrap_handler
sent = []
sentry_sdk.get_client().transport.capture_envelope = sent.append

def handler(event, context):
    raise RuntimeError("broken")

context = types.SimpleNamespace(
    function_name="auth", function_version="1", aws_request_id="1", log_group_name="g", log_stream_name="s",
    invoked_function_arn="arn:aws:lambda:eu-west-1:1:function:auth", get_remaining_time_in_millis=lambda: 1000,
)
try:
    _wrap_handler(handler)(json.load(sys.stdin), context)
except RuntimeError:
    [envelope] = sent
    print(json.dumps(envelope.get_event()))
"""

# Neither in the program nor among its arguments: Sentry quotes both.
REQUEST = {
    "httpMethod": "POST",
    "path": "/api/v1/auth/verify",
    "queryStringParameters": {"token": "secret-1"},
    "body": '{"password": "secret-2"}',
    "headers": {
        "Host": "api.example",
        "X-Forwarded-Proto": "https",
        "X-Other": "secret-3",
        "Cookie": "refresh=secret-4",
        "Authorization": "Bearer secret-5",
    },
}


def run(program: str, given: str = "", **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=given,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_given_no_function_when_something_logs_then_nothing_is_kept_from_its_process() -> None:
    # GIVEN a process that is no function: `make admin`, CDK
    # WHEN it imports the logger, THEN the collector runs and every library is there
    run("import gc, quintet.observability, email_validator; assert gc.isenabled()")


def test_given_a_request_with_a_token_when_its_function_fails_then_sentry_hears_where_and_no_secret() -> None:
    reported = run(REPORTED, json.dumps(REQUEST), SENTRY_DSN="https://key@sentry.example/1").splitlines()[-1]
    event = json.loads(reported)
    assert event["exception"]["values"][0]["value"] == "broken"
    assert event["request"] == {"method": "POST", "url": "https://api.example/api/v1/auth/verify"}
    assert "secret-" not in reported
