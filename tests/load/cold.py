"""Cold starts: from the spawn of an interpreter to the first answer of a function."""

import time
import uuid
from collections.abc import Callable
from typing import Any

from infra.local.events import rest_event, sqs_event
from tests.load.deployed import Runtime
from tests.load.measure import interleaved
from tests.load.stand import Stand

_SELECT = """
import os, psycopg
answer = psycopg.connect(os.environ["DATABASE_URL"]).execute("SELECT 1").fetchone()
"""

_SEND = """
import boto3
boto3.client("sesv2").send_email(
    FromEmailAddress="no-reply@quintet.example",
    Destination={"ToAddresses": ["somebody@example.com"]},
    Content={"Simple": {"Subject": {"Data": "Subject"}, "Body": {"Text": {"Data": "Text"}, "Html": {"Data": "HTML"}}}},
)
"""

_REPLY = """
os.write(int(os.environ["REPLY_FD"]), b"%d\\n" % answer)
"""

_INVOKE = """
import json, os, sys
from importlib import import_module
from types import SimpleNamespace
name = {name!r}
context = SimpleNamespace(function_name=name, memory_limit_in_mb=1024, aws_request_id="bench",
                          invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:" + name)
answer = import_module("functions." + name + ".handler").handler(json.loads(sys.stdin.readline()), context)
os.write(int(os.environ["REPLY_FD"]), json.dumps(answer).encode() + b"\\n")
"""


def measure(runtime: Runtime, stand: Stand, *, rounds: int) -> dict[str, float]:
    """Seconds to the first answer: of psycopg, of psycopg and boto3, and of functions."""
    owner = stand.people()[0]
    stand.add_projects(owner, 1)
    headers = {"authorization": f"Bearer {owner.token()}"}

    def spawned(function: str, program: str, event: Any = None) -> tuple[float, Any]:
        began = time.perf_counter()
        process = runtime.start(function, ["-c", program], stand.environment, asked=event)
        try:
            answer = process.reply()
            return time.perf_counter() - began, answer
        finally:
            process.stop()

    def bare(program: str) -> Callable[[], float]:
        return lambda: spawned("email_sender", program + _REPLY)[0]

    def projects() -> float:
        event = rest_event("GET", "/api/v1/projects", headers=headers)
        seconds, answer = spawned("projects", _INVOKE.format(name="projects"), event)
        assert answer["statusCode"] == 200, answer
        assert answer["body"].count(str(owner.id)) == 1, answer
        return seconds

    def queued(function: str, event: Callable[[], Any]) -> Callable[[], float]:
        def run() -> float:
            seconds, answer = spawned(function, _INVOKE.format(name=function), event())
            assert answer == {"batchItemFailures": []}, answer
            return seconds

        return run

    return interleaved(
        rounds,
        select=bare(_SELECT),
        select_and_send=bare(_SELECT + _SEND),
        projects=projects,
        email_feedback=queued("email_feedback", _bounce),
        email_sender=queued("email_sender", lambda: _email(stand)),
    )


def _bounce() -> Any:
    recipients = [{"emailAddress": f"{uuid.uuid4().hex}@example.com"}]
    report = {"eventType": "Bounce", "bounce": {"bounceType": "Permanent", "bouncedRecipients": recipients}}
    return sqs_event("email_feedback", [report])


def _email(stand: Stand) -> Any:
    """A message that asks for an email, whose event is recorded."""
    with stand.owner() as connection:
        row = connection.execute(
            """WITH event AS (
                   INSERT INTO events (type, subject_type, subject_id, data, scope)
                   VALUES ('account.password_changed', 'account', %s, '{}', 'system') RETURNING id)
               INSERT INTO deliveries (event_id, destination) SELECT id, 'email' FROM event RETURNING event_id""",
            [stand.people()[0].id],
        ).fetchone()
    assert row is not None
    return sqs_event("email", [{"event_id": str(row[0]), "destination": "email"}])
