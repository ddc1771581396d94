"""The WebSocket API as its clients see it: the local gateway on a port, real handlers behind it, real connections.

What the functions post goes to that gateway; what they queue is handed on by `broadcast`, so that a test says when.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import uvicorn
from openapi_schema_validator import OAS31Validator
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from infra.asyncapi import build
from infra.local.events import sqs_event
from infra.local.gateway import Gateway
from infra.local.invocation import invoke
from infra.local.pages import Pages
from infra.local.postgres import free_port
from infra.local.sockets import MAX_MESSAGE
from infra.local.state import State
from tests.support.api import Api
from tests.support.statements import execute

SECONDS = 5.0
CLOSING_SECONDS = 0.5
"""A connection that was sent more than anybody read says nothing when it is closed."""

Answering = Callable[[str, str], int]
"""From a method and a connection's id to the status that the management API answers, now or later."""

_ERRORS = {410: "GoneException", 429: "LimitExceededException", 500: "InternalServerErrorException"}


@contextmanager
def management(answering: Answering) -> Iterator[str]:
    """A management API that answers so; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status = answering(self.command, unquote(self.path.rpartition("/")[2]))
            with suppress(OSError):  # whoever asked has gone
                self.send_response(status)
                if status in _ERRORS:
                    self.send_header("x-amzn-ErrorType", _ERRORS[status])
                self.send_header("content-length", "2" if status != 204 else "0")
                self.end_headers()
                self.wfile.write(b"{}" if status != 204 else b"")

        do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None: ...

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/realtime"
    server.shutdown()
    server.socket.close()


@contextmanager
def gateway(state: State, *, invoke: Callable[..., Any] = invoke) -> Iterator[str]:
    """A local gateway; its address."""
    app = Gateway(Pages(state), invoke=invoke)
    port = free_port()
    config = uvicorn.Config(
        app,
        port=port,
        ws="websockets-sansio",
        ws_max_size=MAX_MESSAGE,
        ws_ping_interval=None,
        lifespan="off",
        log_config=None,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(5)


class Socket:
    """One connection of somebody, and every frame it got; each is one that is documented."""

    def __init__(self, client: Api, ticket: dict[str, Any] | None = None) -> None:
        self.client = client
        self.frames: list[dict[str, Any]] = []
        self._checked = Frames()
        made = ticket or ticket_of(client)
        self._until_closed = ExitStack()
        self._socket: ClientConnection = self._until_closed.enter_context(
            connect(f"{made['url']}?ticket={made['ticket']}", open_timeout=SECONDS, close_timeout=CLOSING_SECONDS)
        )

    def send(self, action: str, **more: Any) -> None:
        """Send a frame."""
        self.send_text(json.dumps({"action": action, **more}))

    def send_text(self, text: str | bytes) -> None:
        """Send this as it is, unless the other side has closed the connection."""
        with suppress(ConnectionClosed):
            self._socket.send(text)

    def ask(self, action: str, **more: Any) -> dict[str, Any]:
        """Send a frame, and the next one that answers it."""
        self.send(action, **more)
        answers = {"ping": "pong", "presence": "people", "replay": "replayed", "typing": "error"}
        return self.wait(answers.get(action, "error"), "error")

    def wait(self, *types: str, seconds: float = SECONDS) -> dict[str, Any]:
        """The next frame of one of these types."""
        deadline = time.monotonic() + seconds
        while True:
            frame = self._next(deadline - time.monotonic())
            if frame["type"] in types:
                return frame

    def all(self) -> list[dict[str, Any]]:
        """Every frame so far, once what was sent before has arrived."""
        self.ask("ping")
        return self.frames

    def heard(self) -> list[tuple[str, str | None]]:
        """Type and subject of every event so far, in order."""
        return [
            (event["type"], event["subject_id"])
            for frame in self.all()
            if frame["type"] == "events"
            for event in frame["events"]
        ]

    def closed(self, seconds: float = SECONDS) -> tuple[int, str]:
        """Wait until the other side closes it; code and reason."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                self._next(deadline - time.monotonic())
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")

    def close(self) -> None:
        """Leave."""
        self._until_closed.close()

    def _next(self, seconds: float) -> dict[str, Any]:
        text = self._socket.recv(timeout=max(0.0, seconds))
        assert len(text.encode() if isinstance(text, str) else text) <= 32 * 1024
        frame: dict[str, Any] = json.loads(text)
        self._checked.check(frame)
        self.frames.append(frame)
        return frame


class Frames:
    """What the document says of frames."""

    def __init__(self) -> None:
        document = build()
        self._components = {"components": document["components"]}
        self._sent = {
            schema["properties"]["type"]["const"]: name
            for name, schema in document["components"]["schemas"].items()
            if "const" in schema.get("properties", {}).get("type", {})
        }

    def check(self, frame: dict[str, Any]) -> None:
        """Fail unless the document allows this frame."""
        name = self._sent[frame["type"]]
        OAS31Validator({**self._components, "$ref": f"#/components/schemas/{name}"}).validate(frame)
        schema = self._components["components"]["schemas"][name]
        assert frame.keys() <= schema["properties"].keys()


def ticket_of(client: Api) -> dict[str, Any]:
    """A ticket, as answered."""
    answer = client.post("/realtime/tickets")
    assert answer.status == 201, answer
    made: dict[str, Any] = answer.json()
    return made


def queued() -> list[dict[str, str]]:
    """The messages for the broadcaster that are not done, oldest first."""
    rows = execute("SELECT event_id FROM deliveries WHERE destination = 'realtime' AND done_at IS NULL ORDER BY 1")
    return [{"event_id": str(row.event_id), "destination": "realtime"} for row in rows]


def broadcast(messages: list[dict[str, str]] | None = None) -> list[str]:
    """Hand on everything that is queued, ten at a time as the queue does; the messages that are to come again."""
    messages = queued() if messages is None else messages
    failed = []
    for start in range(0, len(messages), 10):
        answer = invoke("realtime_broadcaster", sqs_event("realtime", messages[start : start + 10]))
        failed += [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]
    return failed


def settle(ask: Callable[[], Any], expected: Any) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + 5
    while ask() != expected:
        assert time.monotonic() < deadline, (ask(), expected)
        time.sleep(0.05)


def connections_of(client: Api) -> list[str]:
    """The ids of somebody's connections, as the database has them."""
    return [row.id for row in execute("SELECT id FROM connections WHERE user_id = %(id)s ORDER BY id", id=client.id)]
