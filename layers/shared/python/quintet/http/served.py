"""An API function under a web server: behind Lambda Web Adapter, or the local gateway, which does as that does.

The adapter turns API Gateway's event into a plain request, and puts the event's context into a header, over whatever
the client may have sent under that name:
https://aws.github.io/aws-lambda-web-adapter/features/request-context.html
"""

import json
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from quintet.http.app import around
from quintet.observability import logger

CONTEXT_HEADER = b"x-amzn-request-context"


def served(app: ASGIApp, *, function: str) -> ASGIApp:
    """The app of a function as the server is to serve it: paths, request ids and clients as everywhere else."""
    inner = around(app)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _take_context(scope)
            logger.thread_safe_clear_keys()
            logger.thread_safe_append_keys(function=function)
        await inner(scope, receive, send)

    return serve


def _take_context(scope: Scope) -> None:
    """Put API Gateway's context where the adapter of plain events (Mangum) puts it: only there it is believed."""
    given = [value for name, value in scope["headers"] if name == CONTEXT_HEADER]
    scope["headers"] = [pair for pair in scope["headers"] if pair[0] != CONTEXT_HEADER]
    context: dict[str, Any] = json.loads(given[-1]) if given else {}
    ip = (context.get("identity") or {}).get("sourceIp")
    scope["client"] = (ip, 0) if ip else None
    scope["aws.event"] = {"path": scope["path"], "requestContext": context}
