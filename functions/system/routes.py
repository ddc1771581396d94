"""HTTP of health and documentation. Any other path ends in the app's own 404."""

from functools import lru_cache
from pathlib import Path

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from functions.manifest import ASYNCAPI_DOCUMENT, OPENAPI_DOCUMENT
from functions.system import service
from quintet.http.envelope import stage_path
from quintet.http.routing import Router

router = Router(tags=["system"])

ROOT = Path(__file__).parents[2]


class Health(BaseModel):
    """The state of the API, or of what it depends on."""

    status: str


class Readiness(BaseModel):
    """Each thing the API depends on: `ok`, or what is wrong with it."""

    database: str
    queue: str
    bucket: str


@router.get("/health", response_model=Health)
async def health() -> Response:
    """Liveness: the function runs."""
    return JSONResponse({"status": "ok"})


@router.get(
    "/health/ready",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "Something it depends on does not answer"}},
)
async def ready() -> Response:
    """Readiness: database, queue and bucket answer."""
    checks = service.check_dependencies()
    return JSONResponse(checks, 200 if all(state == "ok" for state in checks.values()) else 503)


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """This document (OpenAPI 3.1)."""
    stage = stage_path(request.scope).encode()
    # Addresses in it are the canonical ones; behind a stage that is part of them.
    body = _document(OPENAPI_DOCUMENT)
    return _documentation(body.replace(b'"url": "/api/v1"', b'"url": "%s/api/v1"' % stage) if stage else body)


@router.get("/asyncapi.json")
async def asyncapi() -> Response:
    """The frames of the WebSocket API (AsyncAPI 3)."""
    return _documentation(_document(ASYNCAPI_DOCUMENT))


def _documentation(body: bytes) -> Response:
    return Response(body, media_type="application/json", headers={"cache-control": "public, max-age=300"})


@lru_cache
def _document(name: str) -> bytes:
    return (ROOT / name).read_bytes()
