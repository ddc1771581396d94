"""What `cdk deploy` would upload, run as Lambda runs it: every function, with an event of what triggers it."""

import ast
import json
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests

from functions.manifest import FUNCTIONS
from infra import bundling
from infra.local.events import rest_event, schedule_event, sqs_event, websocket_event
from infra.local.mail import mails
from infra.local.postgres import free_port
from tests.infra.conftest import ROOT, Synthesised
from tests.infra.sandbox import Invoked, Sandbox
from tests.infra.sandbox import sandbox as unzipped


@pytest.fixture(scope="module")
def sandbox(dev: Synthesised, zipped: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """All that is uploaded, with a database and AWS beside it."""
    with unzipped(tmp_path_factory.mktemp("sandbox"), zipped, dev.functions()) as sandbox:
        yield sandbox


_LOOKS_AROUND = """
import importlib.util

def handler(event, _):
    found = [name for name in event if importlib.util.find_spec(name)]
    try:
        open("written.txt", "w").close()
    except OSError:
        return found
    return [*found, "a folder that can be written"]
"""


def test_a_function_sees_its_layers_and_nothing_of_this_machine(sandbox: Sandbox, tmp_path: Path) -> None:
    # GIVEN what can be imported here, WHEN a function looks for it
    (tmp_path / "look.py").write_text(_LOOKS_AROUND)
    here = ["fastapi", "quintet", "infra", "aws_cdk", "pytest"]
    assert all(find_spec(name) for name in here)
    invoked = sandbox.invoke("system", [here], handler="look.handler", task=tmp_path)
    # THEN it finds what it is given, and cannot change it
    assert invoked.answers == [["fastapi", "quintet"]]


EMAIL, PASSWORD = "artefact@example.com", "correct horse battery staple 7"

CALLS: dict[str, list[tuple[str, str, Any, int]]] = {
    "auth": [
        ("POST", "/auth/register", {"email": EMAIL, "password": PASSWORD, "full_name": "Somebody"}, 201),
        ("POST", "/auth/login", {"email": EMAIL, "password": PASSWORD}, 200),
    ],
    "users": [("GET", "/users/me", None, 200)],
    "projects": [("POST", "/projects", {"title": "A project"}, 201), ("GET", "/projects", None, 200)],
    "tasks": [("GET", "/tasks", None, 200)],
    "conversations": [("GET", "/conversations", None, 200)],
    "files": [("GET", "/files/presign-upload?file_name=a.txt&size=1", None, 200)],
    "campaigns": [("GET", "/campaigns", None, 200)],
    "agents": [("GET", "/agents", None, 200)],
    "courses": [("GET", "/courses", None, 200)],
    "reports": [("GET", "/reports/campaigns/01890a5d-ac96-774b-bcce-b302099a8057", None, 404)],
    "webhooks": [("GET", "/webhooks", None, 200)],
    "notifications": [("GET", "/notifications/push-key", None, 200)],
    "search": [("GET", "/search?q=project", None, 200)],
    "integrations": [("GET", "/integrations", None, 200)],
    "events": [("GET", "/events", None, 200)],
    "realtime": [("POST", "/realtime/tickets", None, 201)],
    "system": [
        ("GET", "/health/ready", None, 200),
        ("GET", "/openapi.json", None, 200),
        ("GET", "/nothing", None, 404),
    ],
}
"""A function of the API -> method, path and body of each call, and the status that is to come."""


def requests_of(name: str, token: str = "") -> list[Any]:
    """The events of `CALLS`, of somebody signed in."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    events = []
    for method, target, body, _ in CALLS[name]:
        path, _, query = target.partition("?")
        sent = json.dumps(body).encode() if body is not None else b""
        events.append(rest_event(method, f"/api/v1{path}", query=query, headers=headers, body=sent))
    return events


def events_of(name: str, *, token: str, recorded: str) -> list[Any]:
    """What triggers a function; of a queue one message about an event that is `recorded`, and one without a sense."""
    function = FUNCTIONS[name]
    if function.queue:
        bounce = {"bounceType": "Permanent", "bouncedRecipients": [{"emailAddress": "gone@example.com"}]}
        message = (
            {"eventType": "Bounce", "bounce": bounce}
            if name == "email_feedback"
            else {"event_id": recorded, "destination": function.queue.name}
        )
        return [sqs_event(function.queue.name, [message, "no JSON"])]
    if function.schedule:
        return [schedule_event(name)]
    stranger = [websocket_event("CONNECT", "c-1", query="ticket=none")] if function.websocket else []
    return [*requests_of(name, token), *stranger]


Invocations = dict[str, "Future[Invoked]"]


@pytest.fixture(scope="module")
def invocations(sandbox: Sandbox) -> Invocations:
    """Every function that was invoked, two at a time. The schema comes first, as on a first deployment."""
    started: Invocations = {}
    with ThreadPoolExecutor(2) as pool:

        def start(name: str, events: list[Any]) -> "Future[Invoked]":
            started[name] = pool.submit(sandbox.invoke, name, events)
            return started[name]

        start("db_migrator", [{}]).result()
        start("auth", requests_of("auth")).result()
        with psycopg.connect(sandbox.services.owner_url) as owner:
            owner.execute(
                "INSERT INTO user_roles (user_id, role_id) SELECT u.id, r.id FROM users u, roles r"
                " WHERE r.name = 'admin'"
            )
            row = owner.execute("SELECT event_id FROM deliveries WHERE destination = 'email'").fetchone()
        assert row
        for name, function in FUNCTIONS.items():
            if name not in started and not function.streams:
                start(name, events_of(name, token=token(started), recorded=str(row[0])))
    return started


def token(invocations: Invocations) -> str:
    """An access token of who has signed in."""
    signed_in = invocations["auth"].result()
    assert signed_in.answers[1]["statusCode"] == 200, signed_in
    return str(json.loads(signed_in.answers[1]["body"])["access_token"])


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if not function.streams])
def test_a_function_answers_what_triggers_it_with_its_bundle_and_its_layers_alone(
    name: str, invocations: Invocations
) -> None:
    invoked, function = invocations[name].result(), FUNCTIONS[name]
    answers, log = invoked.answers, f"{name} logged:\n{invoked.log}"
    if function.queue:
        without_sense = invoked.events[0]["Records"][1]["messageId"]
        assert answers == [{"batchItemFailures": [{"itemIdentifier": without_sense}]}], log
    elif function.routes:
        wanted = [status for *_, status in CALLS[name]] + [401] * function.websocket
        assert [answer["statusCode"] for answer in answers] == wanted, f"{answers}\n{log}"
    elif function.on_deploy:
        newest = max(ROOT.glob("functions/db_migrator/versions/[0-9]*.py")).name[:4]
        assert answers == [{"revision": newest}], log
    else:
        [done] = answers  # what it did; it raises when any of that failed
        assert isinstance(done, dict), log
        assert done, log


def test_what_a_function_does_alone_with_its_layers_is_done(sandbox: Sandbox, invocations: Invocations) -> None:
    # GIVEN messages about a registration and a bounce, WHEN their functions have been invoked
    for name in ("email_sender", "email_feedback"):
        invocations[name].result()
    # THEN the email is in the mailbox, with a link to the API, and the address is marked
    with psycopg.connect(sandbox.services.owner_url) as owner:
        marked = owner.execute("SELECT email FROM suppressed_addresses").fetchall()
    assert marked == [("gone@example.com",)]
    [mail] = [mail for mail in mails(sandbox.mailbox) if mail.to == EMAIL]
    assert sandbox.known["API_URL"] in mail.text, mail


def test_what_streams_is_served_by_its_script_with_its_bundle_and_its_layers_alone(
    sandbox: Sandbox, invocations: Invocations, tmp_path: Path
) -> None:
    # GIVEN somebody signed in, WHEN the script is started as the web adapter starts it
    (tmp_path / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(bundling.compiler())} -S -s -B "$@"\n')
    (tmp_path / "python").chmod(0o755)
    port = free_port()
    server = subprocess.Popen(
        [sandbox.task("ai") / sandbox.functions["ai"]["Handler"]],
        env={
            **sandbox.environment("ai"),
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "PYTHONPATH": str(sandbox.opt / "python"),
            "AWS_LWA_PORT": str(port),
        },
        cwd=sandbox.task("ai"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    context = {"requestId": "r-1", "identity": {"sourceIp": "192.0.2.1"}, "path": "/dev/api/v1/ai/chat"}
    headers = {"x-amzn-request-context": json.dumps(context)}
    try:
        _wait_until_it_listens(port, server)
        nothing = requests.get(f"http://127.0.0.1:{port}/api/v1/ai/nothing", headers=headers, timeout=30)
        answer = requests.post(
            f"http://127.0.0.1:{port}/api/v1/ai/chat",
            headers={**headers, "authorization": f"Bearer {token(invocations)}"},
            json={
                "id": "a-chat",
                "messages": [{"id": "m-1", "role": "user", "parts": [{"type": "text", "text": "What is next?"}]}],
                "trigger": "submit-message",
                "messageId": None,
            },
            timeout=60,
        )
    finally:
        server.terminate()
        _, log = server.communicate(timeout=10)
    # THEN it answers, with API Gateway's context from the adapter's header
    assert (nothing.status_code, nothing.headers["x-request-id"], nothing.json()["instance"]) == (404, "r-1", "r-1")
    assert "server" not in nothing.headers
    # AND what Bedrock says comes as a stream
    assert answer.status_code == 200, (answer.text, log)
    chunks = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    assert chunks[-1] == "[DONE]", (answer.text, log)
    assert {"start", "text-delta", "finish"} <= {json.loads(chunk)["type"] for chunk in chunks[:-1]}, answer.text


def _wait_until_it_listens(port: int, server: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            requests.get(f"http://127.0.0.1:{port}/", timeout=10)
            return
        except requests.ConnectionError:
            assert server.poll() is None, server.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.1)


# What is imported late, which no single event would show


class _Imports(ast.NodeVisitor):
    """Module and name of every import that is ever made: not those for type checkers."""

    def __init__(self) -> None:
        self.found: set[tuple[str, str]] = set()

    def visit_If(self, node: ast.If) -> None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for other in node.orelse:
                self.visit(other)
        else:
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        self.found |= {(name.name, "") for name in node.names}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self.found |= {(str(node.module), name.name) for name in node.names}


def test_the_layers_hold_what_any_function_ever_imports(sandbox: Sandbox, tmp_path: Path) -> None:
    # GIVEN all imports of our code, wherever they stand in it
    imports = _Imports()
    for folder in (sandbox.folder / "task", sandbox.opt / "python" / "quintet"):
        for source in folder.rglob("*.py"):
            imports.visit(ast.parse(source.read_bytes()))
    ours = {pair for pair in imports.found if pair[0] != "snapshot_restore_py"}  # that is Lambda's runtime's
    # WHEN they are made by a process that has all functions, and the layers
    shutil.copy(Path(__file__).with_name("lambda_libraries.py"), tmp_path)
    for name in FUNCTIONS:
        shutil.copytree(sandbox.task(name), tmp_path, dirs_exist_ok=True)
    event = {"imports": sorted(ours), "services": sorted({"sqs", *bundling.AWS_SERVICES.values()})}
    # THEN each finds its module
    invoked = sandbox.invoke("system", [event], handler="lambda_libraries.handler", task=tmp_path)
    assert invoked.answers == [[]]
