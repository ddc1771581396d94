"""An API function: FastAPI inside Mangum inside Lambda."""

import asyncio
import threading
from typing import Any

from fastapi import APIRouter, FastAPI
from mangum import Mangum
from mangum.types import ASGI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from quintet.config import settings
from quintet.db.engine import dispose_before_snapshot
from quintet.http import problems
from quintet.http.envelope import Envelope
from quintet.observability import LambdaHandler, observed

MAX_BODY = 256 * 1024
"""Bytes of a request body, where a route does not say otherwise."""

_TEXT_TYPES = [
    "text/",
    "application/json",
    "+json",
    "application/javascript",
    "application/xml",
    "image/svg+xml",
]
_REQUEST_HEADERS = [
    *("authorization", "content-type", "idempotency-key", "if-match", "if-none-match"),
    "user-agent",  # the AI SDK adds its name to it, which some browsers then ask for
]
_RESPONSE_HEADERS = [
    "etag",
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "x-request-id",
    "idempotency-replayed",
]

_thread = threading.local()


def create_app(*routers: APIRouter) -> FastAPI:
    """The app of one function, with what all of them share."""
    app = FastAPI(
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        max_body_size=MAX_BODY,
        separate_input_output_schemas=False,  # a model that contains itself would be there twice
    )
    for router in routers:
        # `include_router` would analyse every route a second time, at the first request, and match each request twice.
        app.router.routes.extend(router.routes)
    problems.install(app)
    return app


def lambda_handler(app: FastAPI) -> LambdaHandler:
    """The function's entry: API Gateway REST events in, responses out."""
    _use_own_event_loop()
    mangum = Mangum(around(app), lifespan="off", text_mime_types=_TEXT_TYPES)
    dispose_before_snapshot()

    @observed
    def handler(event: dict[str, Any], context: Any) -> Any:
        _use_own_event_loop()
        return mangum(event, context)

    return handler


def around(app: ASGIApp) -> ASGI:
    """What goes around every app: the envelope, and CORS where there are front ends."""
    if origins := settings().cors_origins:
        app = CORSMiddleware(
            app,
            allow_origins=origins,
            allow_credentials=True,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=_REQUEST_HEADERS,
            expose_headers=_RESPONSE_HEADERS,
            max_age=7200,
        )
    return Envelope(app)


def _use_own_event_loop() -> None:
    """Mangum runs on the thread's current loop; the local run and the tests call from many threads."""
    if not hasattr(_thread, "loop"):
        _thread.loop = asyncio.new_event_loop()
    asyncio.set_event_loop(_thread.loop)
