"""What a function under a server is told of a request: as much as any other, and by nobody but the gateway."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import requests

from functions.ai.handler import server
from infra.local.events import rest_event
from infra.local.state import State
from tests.support import sockets
from tests.support.api import Api
from tests.support.assisting import question
from tests.support.expect import logged
from tests.support.statements import execute

pytestmark = pytest.mark.usefixtures("stack")


@pytest.fixture(scope="module")
def gateway(stack: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with sockets.gateway(State(tmp_path_factory.mktemp("served"))) as url:
        yield url


def behind_the_adapter(
    client: Api, method: str, path: str, body: Any = None, **event: Any
) -> tuple[int, dict[str, str], bytes]:
    """One request as Lambda Web Adapter makes it of API Gateway's event: status, headers, body."""
    context = rest_event(method, path, **event)["requestContext"]
    headers = [
        (b"authorization", f"Bearer {client.token}".encode()),
        (b"content-type", b"application/json"),
        (b"x-amzn-request-context", json.dumps(context).encode()),
    ]
    content = b"" if body is None else json.dumps(body).encode()
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers, "client": ("127.0.0.1", 1),
    }  # fmt: skip
    sent: list[Any] = []
    unread = [content]

    async def receive() -> Any:
        if not unread:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": unread.pop(), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(asyncio.wait_for(server(scope, receive, send), 30))
    head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], head, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.parametrize("prefix", ["/api/v1", "/api", ""])
def test_given_any_prefix_then_it_is_the_same_route_and_the_context_is_known(user: Api, prefix: str) -> None:
    event = {"source_ip": "192.0.2.7", "stage": "dev", "domain": "abc.execute-api.eu-west-1.amazonaws.com"}
    with logged() as records:
        status, headers, body = behind_the_adapter(user, "POST", f"{prefix}/ai/chat", question("Well?"), **event)
    assert status == 200
    [line] = [record for record in records if record["message"] == "request"]
    assert (line["function"], line["path"], line["request_id"]) == ("ai", f"{prefix}/ai/chat", headers["x-request-id"])
    assert body.endswith(b"data: [DONE]\n\n")
    # THEN the event has the client's address and the request's id
    [recorded] = execute("SELECT ip, request_id FROM events WHERE actor_id = %(id)s", id=user.id)
    assert str(recorded.ip) == "192.0.2.7"
    assert recorded.request_id == headers["x-request-id"] != ""
    assert headers["strict-transport-security"]
    # AND links have the stage
    status, _, body = behind_the_adapter(user, "GET", f"{prefix}/ai/chat/none", **event)
    assert status == 404
    status, _, body = behind_the_adapter(Api(), "GET", f"{prefix}/ai/chat", **event)
    assert json.loads(body)["next"]["href"] == "/dev/api/v1/auth/login"


def test_given_a_client_that_writes_the_gateways_header_then_it_is_not_believed(gateway: str, user: Api) -> None:
    forged = {"requestId": "forged", "identity": {"sourceIp": "203.0.113.9"}, "path": "/x"}
    answer = requests.post(
        f"{gateway}/ai/chat",
        json=question("Well?", uuid4().hex),
        headers={
            "authorization": f"Bearer {user.token}",
            "x-amzn-request-context": json.dumps(forged),
            "x-forwarded-for": "203.0.113.10",
        },
        timeout=20,
    )
    assert answer.status_code == 200
    [recorded] = execute("SELECT ip, request_id FROM events WHERE actor_id = %(id)s", id=user.id)
    assert str(recorded.ip) == "127.0.0.1"
    assert recorded.request_id == answer.headers["x-request-id"] != "forged"


def test_given_a_body_that_is_too_large_then_413(gateway: str, user: Api) -> None:
    headers = {"authorization": f"Bearer {user.token}", "content-type": "application/json"}
    for size, path in ((300_000, "/ai"), (5_000_000, "/ai/chat"), (11_000_000, "/ai/chat")):
        answer = requests.post(f"{gateway}{path}", data=b'"' + b"x" * size + b'"', headers=headers, timeout=20)
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


def test_given_a_front_end_then_its_browser_may_read_the_stream(gateway: str, user: Api) -> None:
    origin = {"origin": "https://app.example.com"}
    preflight = requests.options(
        f"{gateway}/api/ai/chat", headers={**origin, "access-control-request-method": "POST"}, timeout=20
    )
    assert preflight.headers["access-control-allow-origin"] == origin["origin"]
    answer = requests.post(
        f"{gateway}/api/ai/chat",
        json=question("Well?"),
        headers={**origin, "authorization": f"Bearer {user.token}"},
        timeout=20,
    )
    assert answer.headers["access-control-allow-origin"] == origin["origin"]
    assert answer.content.endswith(b"data: [DONE]\n\n")


def test_given_a_failure_nobody_expected_then_it_is_a_500_that_says_nothing(
    gateway: str, user: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr("functions.ai.service.begin", explode)
    answer = requests.post(
        f"{gateway}/ai/chat",
        json=question("Well?"),
        headers={"authorization": f"Bearer {user.token}"},
        timeout=20,
    )
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
