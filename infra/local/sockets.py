"""API Gateway's WebSocket API on one machine: connections in, real events to the real handler, and the management API
(`POST`, `GET`, `DELETE /@connections/{id}`) by which functions reach them.

https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html says how long, how large and how idle.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from starlette.types import Receive, Scope, Send

from functions.manifest import FUNCTIONS
from infra.local import terminal
from infra.local.events import Kind, Response, websocket_event

FUNCTION = next(name for name, function in FUNCTIONS.items() if function.websocket)
STAGE = "realtime"
PATH = f"/{STAGE}"
"""Where clients connect; below it, at `/@connections/`, is the management."""

MAX_MESSAGE = 128 * 1024
"""Bytes; the server closes the connection at a larger one (1009), before it gets here."""
MAX_FRAME = 32 * 1024
"""Bytes; clients send a message as one frame, and its parts are not seen here."""
IDLE = 600.0
LONGEST = 7200.0
"""Seconds until a connection is closed."""

_AT_ONCE = 4
"""Frames of one connection that are worked on; it is read from no faster."""
_WAITING = 1000
"""Frames for one connection that wait for its client to read; who is slower than that is cut off."""

Invoke = Callable[[str, dict[str, Any]], Any]


@dataclass(eq=False)
class Socket:
    """One connection."""

    ip: str
    user_agent: str
    domain: str
    id: str = field(default_factory=lambda: secrets.token_urlsafe(11) + "=")
    connected_at: float = field(default_factory=time.time)
    active_at: float = field(default_factory=time.time)
    outgoing: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(_WAITING))
    """Frames to send; None is the end."""
    cut: asyncio.Event = field(default_factory=asyncio.Event)

    def event(self, kind: Kind, **parts: Any) -> dict[str, Any]:
        """An event about this connection."""
        return websocket_event(
            kind,
            self.id,
            source_ip=self.ip,
            user_agent=self.user_agent,
            domain=self.domain,
            stage=STAGE,
            connected_at=self.connected_at,
            **parts,
        )

    def say(self, text: str | None) -> bool:
        """Have a frame sent, or the connection closed; False when its client does not read."""
        try:
            self.outgoing.put_nowait(text)
        except asyncio.QueueFull:
            self.cut.set()
            return False
        return True


class Sockets:
    """All connections."""

    def __init__(self, *, invoke: Invoke, threads: ThreadPoolExecutor) -> None:
        self._call = invoke
        self._threads = threads
        self._open: dict[str, Socket] = {}

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until it ends."""
        await receive()  # that somebody wants to connect
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        known = dict(headers)
        socket = Socket(
            ip=scope["client"][0] if scope["client"] else "127.0.0.1",
            user_agent=known.get("user-agent", ""),
            domain=known.get("host", "localhost"),
        )
        if scope["path"] != PATH:
            await _refuse(receive, send, HTTPStatus.FORBIDDEN, {})
            return
        query = scope["query_string"].decode("latin-1")
        answer = await self._invoke(socket.event("CONNECT", query=query, headers=headers))
        status = HTTPStatus.INTERNAL_SERVER_ERROR if answer is None else answer.get("statusCode", HTTPStatus.OK)
        terminal.emit("socket", event="connect", status=int(status), id=socket.id, function=FUNCTION)
        if answer is None or not 200 <= status < 300:
            await _refuse(receive, send, status, answer or {})
            return
        await send({"type": "websocket.accept"})
        self._open[socket.id] = socket
        writer = asyncio.create_task(_write(socket, send))
        try:
            code, reason = await self._read(socket, receive)
        finally:
            del self._open[socket.id]
            socket.say(None)
        await asyncio.wait([writer], timeout=1)  # what is said already; who does not read it, does not
        writer.cancel()
        terminal.emit("socket", event="disconnect", status=code, id=socket.id, function=FUNCTION)
        with suppress(OSError, RuntimeError, TimeoutError):  # closed already, or nobody reads
            closing = code if code not in (1005, 1006) else 1000
            await asyncio.wait_for(send({"type": "websocket.close", "code": closing, "reason": reason}), timeout=1)
        await self._invoke(socket.event("DISCONNECT", code=code, reason=reason))

    def manage(self, method: str, path: str, body: bytes) -> Response:
        """Answer a request of the management API."""
        socket = self._open.get(unquote(path.rpartition("/")[2]))
        if socket is None:
            return _managed(HTTPStatus.GONE, error="GoneException")
        match method:
            case "POST":
                if len(body) > MAX_MESSAGE:
                    return _managed(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, error="PayloadTooLargeException")
                if not socket.say(body.decode()):
                    return _managed(HTTPStatus.GONE, error="GoneException")
                return _managed(HTTPStatus.OK)
            case "DELETE":
                socket.say(None)
                return _managed(HTTPStatus.NO_CONTENT)
            case "GET":
                times = {"connectedAt": socket.connected_at, "lastActiveAt": socket.active_at}
                at = {name: datetime.fromtimestamp(time, UTC).isoformat() for name, time in times.items()}
                identity = {"sourceIp": socket.ip, "userAgent": socket.user_agent}
                return _managed(HTTPStatus.OK, **at, identity=identity)
        return _managed(HTTPStatus.FORBIDDEN, error="ForbiddenException")

    async def _read(self, socket: Socket, receive: Receive) -> tuple[int, str]:
        """Take what the client sends until either side ends it; code and reason (RFC 6455, 7.4)."""
        free = asyncio.Semaphore(_AT_ONCE)
        working: set[asyncio.Task[None]] = set()
        ended = asyncio.create_task(socket.cut.wait())
        try:
            while True:
                left = socket.connected_at + LONGEST - time.time()
                reading = asyncio.ensure_future(receive())
                done, _ = await asyncio.wait(
                    [reading, ended], timeout=min(IDLE, left), return_when=asyncio.FIRST_COMPLETED
                )
                if reading not in done:
                    reading.cancel()
                    return (1000, "Closed by the server.") if ended in done else (1001, "Going away")
                message = reading.result()
                if message["type"] == "websocket.disconnect":
                    return message.get("code") or 1005, message.get("reason") or ""
                text = message.get("text")
                if text is None:
                    return 1003, "Send text frames."
                if len(text.encode()) > MAX_FRAME:
                    return 1009, f"A frame is larger than {MAX_FRAME} bytes."
                socket.active_at = time.time()
                await free.acquire()
                task = asyncio.create_task(self._message(socket, text, free))
                working.add(task)
                task.add_done_callback(working.discard)
        finally:
            ended.cancel()

    async def _message(self, socket: Socket, text: str, free: asyncio.Semaphore) -> None:
        event = socket.event("MESSAGE", body=text)
        try:
            answer = await self._invoke(event)
        finally:
            free.release()
        if answer is None:
            request_id = event["requestContext"]["requestId"]
            said = {"message": "Internal server error", "connectionId": socket.id, "requestId": request_id}
            socket.say(json.dumps(said))
        elif answer.get("body"):
            socket.say(answer["body"])

    async def _invoke(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """What the function answers; None when it fails."""
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(self._threads, self._call, FUNCTION, event)
        except Exception as error:
            terminal.error(f"{FUNCTION} failed", error)
            return None
        return answer if isinstance(answer, dict) else {}


async def _write(socket: Socket, send: Send) -> None:
    with suppress(OSError):  # it is gone, which the reader learns, too
        while (text := await socket.outgoing.get()) is not None:
            await send({"type": "websocket.send", "text": text})
    socket.cut.set()


async def _refuse(receive: Receive, send: Send, status: int, answer: dict[str, Any]) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in (answer.get("headers") or {}).items()]
    body = (answer.get("body") or "").encode()
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "websocket.http.response.start", "status": int(status), "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})
    for _ in range(2):  # that it is refused, and that it has ended; before that, the server would complain
        await receive()


def _managed(status: HTTPStatus, *, error: str = "", **content: Any) -> Response:
    headers = [("content-type", "application/json")]
    if error:
        headers.append(("x-amzn-ErrorType", error))
        content = {"message": status.phrase}
    return Response(status.value, headers, b"" if status == HTTPStatus.NO_CONTENT else json.dumps(content).encode())
