"""API Gateway on one machine (ASGI): HTTP in, the real proxy event to the real handler, its answer out.

WebSockets are those of `sockets`.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from functions.manifest import FUNCTIONS
from infra.api_body import gateway_problem
from infra.local import terminal
from infra.local.environment import THREADS
from infra.local.events import MalformedAnswerError, Response, function_for, rest_event, rest_response
from infra.local.invocation import TooLargeError, invoke
from infra.local.pages import Pages
from infra.local.sockets import PATH as SOCKETS
from infra.local.sockets import Sockets
from infra.local.streams import Streams

MAX_BODY = 10 * 1024 * 1024
"""Bytes; API Gateway takes no larger request."""
TIMEOUT = 29.0
"""Seconds; API Gateway waits no longer."""

_DRAIN = 64 * 1024 * 1024
"""Bytes read and dropped of a request that is too large, so that its sender gets to read the answer."""


class Gateway:
    """The ASGI application: `/` and `/_local/` are the stand's own pages, everything else is the APIs."""

    def __init__(
        self, pages: Pages, *, invoke: Callable[[str, dict[str, Any]], Any] = invoke, timeout: float = TIMEOUT
    ) -> None:
        self.closing = False
        """Whether answers tell the client to close its connection."""
        self._pages = pages
        self._call = invoke
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="invocation")
        self._sockets = Sockets(invoke=invoke, threads=self._threads)
        self._streams = Streams()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or one WebSocket."""
        if scope["type"] == "websocket":
            await self._sockets.serve(scope, receive, send)
            return
        if self.closing:
            send = _last(send)
        try:
            body = await _read(scope, receive)
        except ConnectionError:
            return
        path = scope["path"]
        if path.startswith(f"{SOCKETS}/@connections/"):
            await _answer(send, self._sockets.manage(scope["method"], path, body or b""))
            return
        if path == "/" or path.startswith("/_local"):
            loop = asyncio.get_running_loop()
            await _answer(send, await loop.run_in_executor(None, self._pages.serve, scope))
            return
        started = time.perf_counter()
        raw_path = scope["raw_path"].decode("latin-1")
        name, request_id = function_for(raw_path), ""
        if body is None:
            status = await _answer(send, _own("REQUEST_TOO_LARGE"))
        else:
            event = _event(scope, raw_path, body)
            request_id = event["requestContext"]["requestId"]
            if FUNCTIONS[name].streams:
                status = await self._streams.serve(name, event, scope, body, receive, send) or await _answer(
                    send, _own("INTEGRATION_FAILURE", request_id)
                )
            else:
                status = await _answer(send, await self._invoke(name, event))
        terminal.emit(
            "request",
            method=scope["method"],
            path=raw_path,
            status=status,
            ms=round((time.perf_counter() - started) * 1000),
            function=name,
            request_id=request_id,
        )

    async def _invoke(self, name: str, event: dict[str, Any]) -> Response:
        request_id = event["requestContext"]["requestId"]
        invocation = asyncio.get_running_loop().run_in_executor(self._threads, self._call, name, event)
        try:
            answer = await asyncio.wait_for(asyncio.shield(invocation), self._timeout)
            return rest_response(answer, request_id=request_id)
        except TimeoutError:
            return _own("INTEGRATION_TIMEOUT", request_id)
        except TooLargeError as error:
            terminal.error(f"{name}: {error}")
            return _own("REQUEST_TOO_LARGE", request_id)
        except MalformedAnswerError as error:
            terminal.error(f"{name}: {error}")
        except Exception as error:
            terminal.error(f"{name} failed", error)
        return _own("INTEGRATION_FAILURE", request_id)


def _event(scope: Scope, raw_path: str, body: bytes) -> dict[str, Any]:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return rest_event(
        scope["method"],
        raw_path,
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
        source_ip=scope["client"][0] if scope["client"] else "127.0.0.1",
        domain=next((value for name, value in headers if name == "host"), "localhost"),
        scheme=scope["scheme"],
    )


async def _read(scope: Scope, receive: Receive) -> bytes | None:
    """The body; None when it is larger than API Gateway takes. ConnectionError when the sender left before its end."""
    headers = dict(scope["headers"])
    announced = int(headers.get(b"content-length", b"0"))
    if announced > MAX_BODY and b"expect" in headers:
        return None  # the sender waits for our word before it sends
    chunks: list[bytes] = []
    size = 0
    while size < _DRAIN:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BODY:
            chunks.append(chunk)
        else:
            chunks.clear()
        if not message.get("more_body", False):
            break
    return b"".join(chunks) if size <= MAX_BODY else None


def _last(send: Send) -> Send:
    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"connection", b"close")]
        await send(message)

    return closing


def _own(kind: str, request_id: str = "") -> Response:
    """What the gateway answers itself, as it is deployed."""
    status, headers, body = gateway_problem(kind, request_id)
    return Response(status.value, [*headers.items(), ("x-amzn-RequestId", request_id)], body.encode())


async def _answer(send: Send, response: Response) -> int:
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    if response.status not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
        headers.append((b"content-length", str(len(response.body)).encode()))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})
    return response.status
