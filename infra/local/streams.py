"""Functions that stream, served as Lambda Web Adapter does it: the request goes to the app itself, with API Gateway's
context in a header, and what it sends goes out as it is sent."""

import asyncio
import importlib
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infra.local import terminal
from infra.local.environment import THREADS

CONTEXT_HEADER = b"x-amzn-request-context"

_Result = TypeVar("_Result")


class Streams:
    """Each request has a thread and a loop of its own, as it has a sandbox on Lambda."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="stream")

    async def serve(
        self, name: str, event: dict[str, Any], scope: Scope, body: bytes, receive: Receive, send: Send
    ) -> int | None:
        """Serve one request, whose body has been read; its status, None when it failed without an answer."""
        loop, unread = asyncio.get_running_loop(), [body]
        status: int | None = None
        context = json.dumps(event["requestContext"]).encode()
        headers = [pair for pair in scope["headers"] if pair[0] != CONTEXT_HEADER]
        inner = {**scope, "headers": [*headers, (CONTEXT_HEADER, context)], "app": None, "state": {}}

        async def received() -> Message:
            if unread:
                return {"type": "http.request", "body": unread.pop(), "more_body": False}
            return await _in(loop, receive)

        async def sent(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await _in(loop, lambda: send(message))

        def run() -> None:
            app: ASGIApp = importlib.import_module(f"functions.{name}.handler").server
            asyncio.run(_call(app, inner, received, sent))

        try:
            await loop.run_in_executor(self._threads, run)
        except Exception as error:
            terminal.error(f"{name} failed", error)
        return status


async def _call(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


async def _in(loop: asyncio.AbstractEventLoop, begin: Callable[[], Awaitable[_Result]]) -> _Result:
    """Have `loop` do something, and wait for it in this one."""

    async def do() -> _Result:
        return await begin()

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(do(), loop))
