"""Emails: once, however often the queue delivers and whoever dies. SES is moto's, or a server that kills."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from infra.local.postgres import Postgres
from quintet.events.types import EventType
from tests.support.api import PASSWORD, Api
from tests.support.mailroom import (
    Ses,
    address_of,
    as_owner,
    deliver,
    delivery,
    happened,
    let_lease_run_out,
    link_in,
    listening,
)


@pytest.fixture
def ses(stack: Postgres) -> Iterator[Ses]:
    """What moto's SES hears."""
    with listening() as seen:
        yield seen


def test_given_many_deliveries_at_once_then_ses_is_asked_once(api: Api, ses: Ses) -> None:
    users = [api.register() for _ in range(3)]
    events = [happened(EventType.ACCOUNT_PASSWORD_CHANGED, user.id) for user in users]
    threads = 8
    together = threading.Barrier(threads)

    def all_of_them(number: int) -> list[str]:
        together.wait()
        return deliver(*(events if number % 2 else reversed(events)))

    # WHEN eight consumers get the same three messages at the same time, and once more afterwards
    with ThreadPoolExecutor(threads) as pool:
        assert list(pool.map(all_of_them, range(threads))) == [[]] * threads
    assert deliver(*events, *events) == []

    # THEN each email was sent once
    assert [len(ses.to(address_of(user))) for user in users] == [1, 1, 1]
    assert all(delivery(event_id)["attempts"] == 1 for event_id in events)


class DeadlySes:
    """SES over HTTP: it counts what it accepts, and ends its client before or after that, or refuses."""

    def __init__(self, behaviour: str) -> None:
        self.accepted: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.client: subprocess.Popen[str] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append(request)
                if behaviour == "dies before":
                    outer.kill()
                    return
                if behaviour == "dies after":
                    outer.accepted.append(request)
                    outer.kill()
                    return
                address = request["Destination"]["ToAddresses"][0]
                body = json.dumps({"message": f"{address}: no"}).encode()
                self.send_response(int(behaviour))
                self.send_header("x-amzn-ErrorType", "MessageRejected" if behaviour == "400" else "Throttled")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: the test's own output is read."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def kill(self) -> None:
        assert self.client is not None
        self.client.kill()
        self.client.wait(10)

    def deliver_in_a_process_of_its_own(self, event_id: UUID, repository: Path) -> tuple[int, str]:
        """Run the real handler on one message; its exit code (-9: killed) and all it printed."""
        code = (
            "import sys; from infra.local.events import sqs_event; from infra.local.invocation import invoke;"
            "print(invoke('email_sender', sqs_event('email', [{'event_id': sys.argv[1], 'destination': 'email'}])))"
        )
        environment = os.environ | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server.server_port}",
            "PYTHONPATH": f"{repository}:{repository / 'layers' / 'shared' / 'python'}",
            "POWERTOOLS_LOG_LEVEL": "DEBUG",
            "NO_PROXY": "127.0.0.1",
        }
        self.client = subprocess.Popen(
            [sys.executable, "-c", code, str(event_id)],
            cwd=repository,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        output, _ = self.client.communicate(timeout=60)
        return self.client.returncode, output


@pytest.fixture
def deadly() -> Iterator[type[DeadlySes]]:
    """Makes servers, and stops them."""
    made: list[DeadlySes] = []

    class Kept(DeadlySes):
        def __init__(self, behaviour: str) -> None:
            super().__init__(behaviour)
            made.append(self)

    yield Kept
    for server in made:
        server.server.shutdown()
        server.server.server_close()


@pytest.mark.parametrize(("behaviour", "times"), [("dies before", 1), ("dies after", 2)])
def test_given_a_process_killed_at_ses_then_the_email_is_not_lost_and_twice_only_if_it_was_accepted(
    api: Api, ses: Ses, deadly: type[DeadlySes], repository: Path, behaviour: str, times: int
) -> None:
    user = api.register()
    event_id = happened(EventType.ACCOUNT_PASSWORD_CHANGED, user.id)
    server = deadly(behaviour)

    # GIVEN the process that sends it is killed (-9) around SES's acceptance
    exit_code, _ = server.deliver_in_a_process_of_its_own(event_id, repository)
    assert exit_code == -9
    assert len(server.asked) == 1
    assert delivery(event_id) == {"done_at": None, "attempts": 1, "error": None, "leased": True}

    # WHEN the message comes again while the dead process's lease lasts, THEN nobody sends
    assert deliver(event_id) == []
    assert ses.requests == []

    # AND once it has run out, it is sent and done, and never again
    let_lease_run_out(event_id)
    assert deliver(event_id) == []
    assert deliver(event_id) == []
    assert len(server.accepted) + len(ses.to(address_of(user))) == times
    assert delivery(event_id)["done_at"]
    assert delivery(event_id)["attempts"] == 2


@pytest.mark.parametrize("behaviour", ["400", "429"])
def test_given_an_error_that_quotes_the_email_then_no_log_does(
    api: Api, deadly: type[DeadlySes], repository: Path, behaviour: str
) -> None:
    user = api.register(full_name="Marguerite Unmistakable")
    event_id = happened(EventType.ACCOUNT_PASSWORD_RESET_REQUESTED, user.id)
    server = deadly(behaviour)

    exit_code, output = server.deliver_in_a_process_of_its_own(event_id, repository)

    assert exit_code == 0
    assert ("MessageRejected" if behaviour == "400" else "Throttled") in output
    (request,) = server.asked  # once: a retry might send twice
    token = link_in(request["Content"]["Simple"]).partition("token=")[2]
    assert len(token) == 43
    for secret in (token, address_of(user), "Unmistakable", PASSWORD):
        assert secret not in output
        assert secret not in json.dumps(as_owner("SELECT error FROM deliveries WHERE event_id = %(id)s", id=event_id))
    # nor does the event log
    assert as_owner("SELECT 1 FROM events WHERE data::text LIKE %(token)s", token=f"%{token}%") == []
