"""ETag, 304 and 412 (RFC 9110, sections 8.8 and 13), from a row's `version`."""

import re
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from starlette.responses import Response

from quintet.db.json import Versioned
from quintet.errors import BadRequest, PreconditionFailed


def etag_of(version: int, variant: str = "") -> str:
    """The strong validator of this version, and of what its representation says besides."""
    return f'"{version}-{variant}"' if variant else f'"{version}"'


def fresh(request: Request, found: Versioned, variant: str = "") -> Response:
    """A single resource as JSON; 304 when the caller has this version.

    `variant` changes when the representation does though the row does not, as with a link that runs out.
    """
    body, version = found
    etag = etag_of(version, variant)
    headers = {"etag": etag, "cache-control": "private, no-cache"}
    known = request.headers.get("if-none-match")
    if known and not {"*", etag}.isdisjoint(_tags(known, weak=True)):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def written(
    model: BaseModel | Versioned, version: int | None = None, *, status: int = 200, location: str = ""
) -> Response:
    """The answer to a change: the resource as it is now, its ETag, its address when it is new."""
    body, version = model if isinstance(model, Versioned) else (model.model_dump_json(), version)
    headers = {}
    if version is not None:
        headers["etag"] = etag_of(version)
    if location:
        headers["location"] = location
    return Response(body, status, headers, "application/json")


async def _if_match(if_match: Annotated[str | None, Header(max_length=200)] = None) -> str | None:
    if if_match is not None and not all(_well_formed(tag) for tag in if_match.split(",")):
        raise BadRequest.at("header/if-match", 'Send the ETag as it came, in its quotes: "3".')
    return if_match


IfMatch = Annotated[str | None, Depends(_if_match)]
"""The request's `If-Match`; give it to `check_version` with the row locked."""


def check_version(if_match: str | None, version: int) -> None:
    """412 when the caller's `If-Match` is not about this version. Without the header anything goes."""
    if if_match is not None and {"*", etag_of(version)}.isdisjoint(_versions(if_match)):
        raise PreconditionFailed("Somebody changed it in between. Read it again and repeat your change.")


def _tags(header: str, *, weak: bool) -> set[str]:
    """The entity tags of a header; weak ones count as strong where the comparison is weak."""
    tags = (tag.strip() for tag in header.split(","))
    return {tag.removeprefix("W/") if weak else tag for tag in tags}


def _versions(header: str) -> set[str]:
    """The tags of a header without their variants: a change depends on the row alone."""
    return {re.sub(r'-[^"]*"$', '"', tag) for tag in _tags(header, weak=False)}


def _well_formed(tag: str) -> bool:
    tag = tag.strip().removeprefix("W/")
    return tag == "*" or (len(tag) >= 2 and tag[0] == tag[-1] == '"')


def listed(page: bytes) -> Response:
    """A list, which is JSON already."""
    return Response(page, media_type="application/json")
