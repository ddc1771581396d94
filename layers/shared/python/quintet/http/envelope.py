"""Pure ASGI around each app: one path for three prefixes, request id, security headers, access log."""

import time
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from quintet.observability import logger

PREFIXES = ("/api/v1", "/api")
CANONICAL = "/api/v1"

SECURITY_HEADERS = {
    "strict-transport-security": "max-age=63072000; includeSubDomains",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
"""On every answer that does not say otherwise (OWASP ASVS 5.0, V3.4)."""

_DEFAULTS = tuple((name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items())


class Envelope:
    """Normalises the request and completes the response."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; an error nobody handled has become a 500 inside, and is logged here."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        method, path = scope["method"], scope["path"]
        scope["path"] = normalise(path)
        # The body has arrived whole; a declared length would make the limiter answer in plain text.
        scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
        if method == "HEAD":
            scope["method"] = "GET"
        request_id = request_id_of(scope)
        added = answer_headers(scope)
        logger.thread_safe_append_keys(request_id=request_id)  # the one the client can quote
        status = 500

        async def complete(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    (b"x-request-id", request_id.encode()),
                    *((name.lower().encode(), value.encode()) for name, value in added.items()),
                    *(pair for pair in _DEFAULTS if pair[0] not in present),
                ]
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(scope, receive, complete)
        except Exception:
            logger.exception("Unhandled error", method=method, path=path)
        finally:
            elapsed = round((time.perf_counter() - started) * 1000, 1)
            # Never the query: it may hold a one-time token.
            logger.info("request", method=method, path=path, status=status, ms=elapsed)


def normalise(path: str) -> str:
    """The path without its prefix and closing slash: `/api/v1/x/`, `/api/x` and `/x` are one route."""
    for prefix in PREFIXES:
        if path == prefix or path.startswith(prefix + "/"):
            path = path[len(prefix) :]
            break
    return path.rstrip("/") or "/"


def request_id_of(scope: Scope) -> str:
    """API Gateway's id of the request; empty outside of it."""
    event: dict[str, Any] = scope.get("aws.event", {})
    return str(event.get("requestContext", {}).get("requestId", ""))


def answer_headers(scope: Scope) -> dict[str, str]:
    """The headers that go onto the answer of this request, whatever it will be; to be added to."""
    headers: dict[str, str] = scope.setdefault("quintet.headers", {})
    return headers


def stage_path(scope: Scope) -> str:
    """`/prod` when the caller's address has the stage in it, else nothing (a custom domain, the local run)."""
    event: dict[str, Any] = scope.get("aws.event", {})
    full = event.get("requestContext", {}).get("path", "")
    return str(full).removesuffix(event.get("path", "")) if full else ""


def link(scope: Scope, path: str) -> str:
    """The canonical address of `path` on this API, as the caller can reach it."""
    return f"{stage_path(scope)}{CANONICAL}{path}"
