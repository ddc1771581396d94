"""What routes answer: JSON that PostgreSQL built, or a model."""

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from quintet.db.json import Versioned
from quintet.http.conditional import etag_of
from quintet.http.envelope import link


def listed(page: bytes) -> Response:
    """A list, which is JSON already."""
    return Response(page, media_type="application/json")


def changed(read: BaseModel | Versioned) -> Response:
    """What came of the request: the resource as it is now, with its ETag if it has a version."""
    body = read.body if isinstance(read, Versioned) else read.model_dump_json()
    version: int | None = getattr(read, "version", None)
    headers = {} if version is None else {"etag": etag_of(version)}
    return Response(body, headers=headers, media_type="application/json")


def created(request: Request, read: BaseModel | Versioned, path: str) -> Response:
    """The new resource: 201 and its address, `path` being that within this API."""
    response = changed(read)
    response.status_code = 201
    response.headers["location"] = link(request.scope, path)
    return response
