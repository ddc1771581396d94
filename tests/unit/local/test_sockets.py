"""The local WebSocket API behaves as API Gateway's does: events in, frames out, and its management API."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import boto3
import httpx2
import pytest
from botocore.exceptions import ClientError
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from infra.local import sockets
from infra.local.state import State
from tests.support.sockets import gateway

Answer = Callable[[dict[str, Any]], Any]


class Behind:
    """A gateway in front of a handler of the test's own, which keeps the events it gets."""

    def __init__(self, state: State, answer: Answer) -> None:
        self.events: list[dict[str, Any]] = []
        self._answer = answer
        self._until_closed = ExitStack()
        self.url = self._until_closed.enter_context(gateway(state, invoke=self._invoke))

    def _invoke(self, name: str, event: dict[str, Any]) -> Any:
        assert name == "realtime"
        self.events.append(event)
        return self._answer(event)

    @contextmanager
    def connected(self, path: str = "/realtime?ticket=abc") -> Iterator[ClientConnection]:
        with connect(self.url.replace("http", "ws") + path, open_timeout=5, close_timeout=5) as socket:
            yield socket

    def manage(self) -> Any:
        """What functions post with."""
        return boto3.client(
            "apigatewaymanagementapi",
            endpoint_url=f"{self.url}/realtime",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            region_name="us-east-1",
        )

    def wait(self, kind: str) -> dict[str, Any]:
        """The last event of a kind, once there is one."""
        deadline = time.monotonic() + 5
        while True:
            found = [event for event in self.events if event["requestContext"]["eventType"] == kind]
            if found:
                return found[-1]
            assert time.monotonic() < deadline, kind
            time.sleep(0.02)

    def id(self) -> str:
        """The connection that was opened last."""
        return str(self.wait("CONNECT")["requestContext"]["connectionId"])

    def close(self) -> None:
        self._until_closed.close()


@pytest.fixture
def behind(state: State) -> Iterator[Callable[[Answer], Behind]]:
    """Makes gateways, which end with the test."""
    made: list[Behind] = []

    def make(answer: Answer) -> Behind:
        made.append(Behind(state, answer))
        return made[-1]

    yield make
    for one in made:
        one.close()


def ok(_: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": 200}


def echo(event: dict[str, Any]) -> dict[str, Any]:
    body = event.get("body")
    return {"statusCode": 200, **({"body": f"echo {body}"} if body else {})}


def test_given_a_connection_then_its_events_are_those_of_api_gateway(behind: Callable[[Answer], Behind]) -> None:
    stand = behind(echo)
    with stand.connected() as socket:
        socket.send("hello")
        assert socket.recv(timeout=5) == "echo hello"
    opened, message, closed = stand.wait("CONNECT"), stand.wait("MESSAGE"), stand.wait("DISCONNECT")
    assert opened["queryStringParameters"] == {"ticket": "abc"}
    assert opened["multiValueQueryStringParameters"] == {"ticket": ["abc"]}
    assert "Sec-WebSocket-Key" in {name.title().replace("Websocket", "WebSocket") for name in opened["headers"]}
    keys = {"CONNECT": "$connect", "MESSAGE": "$default", "DISCONNECT": "$disconnect"}
    for event in (opened, message, closed):
        context = event["requestContext"]
        assert context["routeKey"] == keys[context["eventType"]]
        assert context["connectionId"] == stand.id()
        assert context["connectedAt"] <= context["requestTimeEpoch"]
        assert context["identity"]["sourceIp"] == "127.0.0.1"
        assert (context["stage"], context["messageDirection"]) == ("realtime", "IN")
        assert context["domainName"] == "127.0.0.1"
        assert context["requestId"]
    assert (message["body"], message["isBase64Encoded"]) == ("hello", False)
    assert message["requestContext"]["messageId"]
    assert closed["requestContext"]["disconnectStatusCode"] == 1000


@pytest.mark.parametrize("status", [401, 403, 500])
def test_given_a_handler_that_does_not_let_somebody_in_then_the_handshake_fails_with_its_status(
    behind: Callable[[Answer], Behind], status: int
) -> None:
    stand = behind(lambda _: {"statusCode": status, "body": "no", "headers": {"Content-Type": "text/plain"}})
    with pytest.raises(InvalidStatus) as caught, stand.connected():
        pass
    assert (caught.value.response.status_code, caught.value.response.body) == (status, b"no")
    assert [event["requestContext"]["eventType"] for event in stand.events] == ["CONNECT"]


def test_given_a_handler_that_raises_when_somebody_connects_then_500(behind: Callable[[Answer], Behind]) -> None:
    def fails(_: dict[str, Any]) -> Any:
        raise RuntimeError("a mistake of ours")

    with pytest.raises(InvalidStatus) as caught, behind(fails).connected():
        pass
    assert caught.value.response.status_code == 500


def test_given_another_path_then_403_as_for_another_stage(behind: Callable[[Answer], Behind]) -> None:
    stand = behind(ok)
    with pytest.raises(InvalidStatus) as caught, stand.connected("/elsewhere"):
        pass
    assert caught.value.response.status_code == 403
    assert stand.events == []


def test_given_a_handler_that_raises_at_a_frame_then_the_gateway_says_so_and_the_connection_stays(
    behind: Callable[[Answer], Behind],
) -> None:
    def fails(event: dict[str, Any]) -> Any:
        if event.get("body") == "bad":
            raise RuntimeError("a mistake of ours")
        return echo(event)

    stand = behind(fails)
    with stand.connected() as socket:
        socket.send("bad")
        said = json.loads(socket.recv(timeout=5))
        assert (said["message"], said["connectionId"]) == ("Internal server error", stand.id())
        socket.send("good")
        assert socket.recv(timeout=5) == "echo good"


def test_given_a_connection_then_functions_post_to_it_look_at_it_and_close_it(
    behind: Callable[[Answer], Behind],
) -> None:
    stand = behind(ok)
    manage = stand.manage()
    with stand.connected() as socket:
        manage.post_to_connection(ConnectionId=stand.id(), Data="häh".encode())
        assert socket.recv(timeout=5) == "häh"
        seen = manage.get_connection(ConnectionId=stand.id())
        assert seen["Identity"]["SourceIp"] == "127.0.0.1"
        assert seen["ConnectedAt"] <= seen["LastActiveAt"]
        manage.delete_connection(ConnectionId=stand.id())
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=5)
        assert caught.value.rcvd
        assert caught.value.rcvd.code == 1000
    stand.wait("DISCONNECT")
    with pytest.raises(manage.exceptions.GoneException):
        manage.post_to_connection(ConnectionId=stand.id(), Data=b"late")


def test_given_the_management_api_when_asked_for_what_there_is_not_then_as_api_gateway(
    behind: Callable[[Answer], Behind],
) -> None:
    stand = behind(ok)
    manage = stand.manage()
    with pytest.raises(manage.exceptions.GoneException) as gone:
        manage.get_connection(ConnectionId="nobody=")
    assert gone.value.response["ResponseMetadata"]["HTTPStatusCode"] == 410
    with stand.connected():
        with pytest.raises(ClientError) as large:
            manage.post_to_connection(ConnectionId=stand.id(), Data=b"x" * (sockets.MAX_MESSAGE + 1))
        assert large.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
        assert httpx2.put(f"{stand.url}/realtime/@connections/{stand.id()}").status_code == 403


def test_given_a_connection_that_is_being_opened_then_nothing_can_be_posted_to_it_yet(
    behind: Callable[[Answer], Behind],
) -> None:
    posted: list[str] = []

    def connecting(event: dict[str, Any]) -> Any:
        if event["requestContext"]["eventType"] == "CONNECT":
            try:
                stand.manage().post_to_connection(ConnectionId=event["requestContext"]["connectionId"], Data=b"hi")
            except ClientError as error:
                posted.append(error.response["Error"]["Code"])
        return {"statusCode": 200}

    stand = behind(connecting)
    with stand.connected():
        assert posted == ["GoneException"]


@pytest.mark.parametrize(
    ("frame", "code"),
    [("x" * (sockets.MAX_FRAME + 1), 1009), ("x" * (sockets.MAX_MESSAGE + 1), 1009), (b"bytes", 1003)],
)
def test_given_a_frame_that_is_too_large_or_binary_then_closed_and_the_handler_hears_only_that(
    behind: Callable[[Answer], Behind], frame: Any, code: int
) -> None:
    stand = behind(ok)
    with stand.connected() as socket:
        socket.send(frame)
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=5)
    assert caught.value.rcvd
    assert caught.value.rcvd.code == code
    assert caught.value.rcvd.reason
    stand.wait("DISCONNECT")
    assert [event["requestContext"]["eventType"] for event in stand.events] == ["CONNECT", "DISCONNECT"]


def test_given_the_largest_frame_then_it_is_taken(behind: Callable[[Answer], Behind]) -> None:
    stand = behind(ok)
    with stand.connected() as socket:
        socket.send("x" * sockets.MAX_FRAME)
        assert len(stand.wait("MESSAGE")["body"]) == sockets.MAX_FRAME


@pytest.mark.parametrize("limit", ["IDLE", "LONGEST"])
def test_given_a_connection_that_is_idle_or_old_then_the_gateway_closes_it(
    behind: Callable[[Answer], Behind], monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(sockets, limit, 0.3)
    with behind(ok).connected() as socket:
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(timeout=5)
        assert caught.value.rcvd
        assert caught.value.rcvd.code == 1001


def test_given_a_client_that_does_not_read_when_posted_to_then_it_is_cut_off_and_others_are_not(
    behind: Callable[[Answer], Behind], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "_WAITING", 20)
    stand = behind(ok)
    manage = stand.manage()
    url = stand.url.replace("http", "ws") + "/realtime"
    # GIVEN one who reads nothing: websockets' client stops after a frame, and then its buffers fill
    with connect(url, max_queue=1, close_timeout=0.1, open_timeout=5, compression=None):
        slow = stand.id()
        with stand.connected() as quick:
            other = stand.id()
            assert slow != other

            def insist() -> None:
                for _ in range(400):
                    manage.post_to_connection(ConnectionId=slow, Data=b"x" * 100_000)

            with pytest.raises(manage.exceptions.GoneException):
                insist()
            manage.post_to_connection(ConnectionId=other, Data=b"still here")
            assert quick.recv(timeout=5) == "still here"
            assert stand.wait("DISCONNECT")["requestContext"]["connectionId"] == slow


def test_given_frames_that_take_long_then_few_of_one_connection_are_worked_on_at_once(
    behind: Callable[[Answer], Behind],
) -> None:
    at_once, most = 0, 0
    lock = threading.Lock()

    def work(event: dict[str, Any]) -> Any:
        nonlocal at_once, most
        if event["requestContext"]["eventType"] == "MESSAGE":
            with lock:
                at_once += 1
                most = max(most, at_once)
            time.sleep(0.05)
            with lock:
                at_once -= 1
        return echo(event)

    with behind(work).connected() as socket:
        for n in range(20):
            socket.send(str(n))
        answers = {socket.recv(timeout=10) for _ in range(20)}
    assert answers == {f"echo {n}" for n in range(20)}
    assert 1 < most <= 4
