"""The gateway behaves as API Gateway does, and serves its own pages beside the API."""

import asyncio
import re
import threading
import time
from typing import Any

import pytest
from starlette.testclient import TestClient

from infra.local.gateway import MAX_BODY, Gateway
from infra.local.pages import Pages
from infra.local.state import State


@pytest.fixture
def client(state: State) -> TestClient:
    """A client of the gateway with the real functions behind it."""
    return TestClient(Gateway(Pages(state)))


def behind(state: State, invoke: Any, timeout: float = 29) -> TestClient:
    """A client of a gateway that invokes `invoke`."""
    return TestClient(Gateway(Pages(state), invoke=invoke, timeout=timeout))


def echo(_: str, event: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": 200, "body": event["body"] or "", "isBase64Encoded": event["isBase64Encoded"]}


def test_given_the_system_function_when_asked_for_health_then_it_answers(client: TestClient) -> None:
    answer = client.get("/api/v1/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["x-amzn-requestid"]


def test_given_a_head_request_when_served_then_the_answer_has_no_body(client: TestClient) -> None:
    answer = client.head("/health")
    assert (answer.status_code, answer.content) == (200, b"")


def test_given_a_path_nobody_serves_when_asked_then_the_api_says_so_itself(client: TestClient) -> None:
    answer = client.get("/no/such/thing")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_given_bytes_when_sent_then_they_arrive_unchanged(state: State) -> None:
    body = bytes(range(256)) * 100
    assert behind(state, echo).post("/files", content=body).content == body


def test_given_a_body_over_ten_megabytes_when_sent_then_413_as_the_gateway_says_it(state: State) -> None:
    answer = behind(state, echo).post("/files", content=b"x" * (MAX_BODY + 1))
    assert answer.status_code == 413
    assert "purpose=campaign_data if they are contacts" in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["next"] == {"rel": "presign-upload", "href": "/api/v1/files/presign-upload"}


def test_given_a_body_over_lambdas_limit_when_sent_then_413(client: TestClient) -> None:
    assert client.post("/health", content=b"x" * (MAX_BODY - 1)).status_code == 413


def test_given_a_handler_that_raises_when_asked_then_502_and_the_traceback_is_logged(
    state: State, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: str, __: dict[str, Any]) -> Any:
        raise RuntimeError("a mistake of ours")

    answer = behind(state, fails).get("/users")
    assert (answer.status_code, answer.json()["detail"]) == (502, "The service did not answer. Try again in a moment.")
    logged = capsys.readouterr().out
    assert "a mistake of ours" in logged
    assert "Traceback" in logged


def test_given_an_answer_that_is_none_when_returned_then_502(state: State) -> None:
    assert behind(state, lambda *_: {"status": 200}).get("/users").status_code == 502


def test_given_a_handler_that_takes_too_long_when_asked_then_504(state: State) -> None:
    release = threading.Event()
    try:
        answer = behind(state, lambda *_: release.wait(20), timeout=0.1).get("/users")
    finally:
        release.set()
    assert (answer.status_code, answer.json()["detail"]) == (504, "The service did not answer in time.")


def test_given_two_cookies_when_answered_then_both_arrive(state: State) -> None:
    answer = {"statusCode": 204, "multiValueHeaders": {"Set-Cookie": ["a=1; Path=/", "b=2; Path=/"]}}
    got = behind(state, lambda *_: answer).get("/users")
    assert got.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]


def test_given_slow_requests_when_sent_together_then_they_run_side_by_side(state: State) -> None:
    together = threading.Barrier(5, timeout=10)

    def meet(*_: Any) -> dict[str, Any]:
        together.wait()
        return {"statusCode": 200, "body": ""}

    client = behind(state, meet)
    threads = [threading.Thread(target=client.get, args=("/users",)) for _ in range(5)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 9
    assert not together.broken


@pytest.mark.parametrize("path", ["/", "/_local/reference"])
def test_given_a_page_when_asked_then_everything_it_loads_is_served_by_us(client: TestClient, path: str) -> None:
    page = client.get(path)
    assert page.status_code == 200
    links = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert links
    assert not [link for link in links if not link.startswith("/")]
    for link in links:
        if link.startswith("/_local/assets/"):
            assert client.get(link).status_code == 200, link


@pytest.mark.parametrize(
    "path", ["/_local/nothing", "/_local/assets/..", "/_local/assets/secret", "/_local/mails/x", "/_local"]
)
def test_given_a_page_that_is_none_when_asked_then_404(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_given_another_sites_page_when_it_posts_then_it_is_refused(client: TestClient) -> None:
    answer = client.post("/_local/queues/email/redrive", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403


def test_given_a_sender_that_leaves_in_the_middle_when_it_does_then_nothing_is_invoked(state: State) -> None:
    invoked: list[str] = []

    def note(name: str, _: dict[str, Any]) -> Any:
        invoked.append(name)

    messages = iter([{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/files", "raw_path": b"/files", "headers": []}
    asyncio.run(Gateway(Pages(state), invoke=note)(scope, receive, send))
    assert invoked == []
    assert sent == []


def test_given_a_function_that_streams_when_its_app_fails_then_502_as_the_gateway_says_it(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fails(*_: Any) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr("functions.ai.handler.server", fails)
    answer = client.get("/ai/chat")
    assert (answer.status_code, answer.json()["detail"]) == (502, "The service did not answer. Try again in a moment.")
    assert "a mistake of ours" in capsys.readouterr().out
