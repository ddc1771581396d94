"""ETag, 304 and 412 (RFC 9110, sections 8.8 and 13), from a row's `version`."""

import re
from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Header, Request
from starlette.responses import Response

from quintet.db.json import Versioned
from quintet.errors import BadRequest

_TAG = re.compile(r'(W/)?"(?:([1-9][0-9]*)(?:-[^"]*)?|[^"]*)"')
"""An entity tag; of one that is ours, the version without the variant: a change depends on the row alone."""


def etag_of(version: int, variant: str = "") -> str:
    """The strong validator of this version, and of what its representation says besides."""
    return f'"{version}-{variant}"' if variant else f'"{version}"'


def fresh(request: Request, found: Versioned, variant: str = "") -> Response:
    """A single resource as JSON; 304 when the caller has this version.

    `variant` changes when the representation does though the row does not, as with a link that runs out.
    """
    body, version = found
    return unless_known(request, body, etag=etag_of(version, variant), headers={"cache-control": "private, no-cache"})


def unless_known(request: Request, body: bytes, *, etag: str, headers: Mapping[str, str]) -> Response:
    """`body`, which is JSON, with its ETag and `headers`; 304 and those alone when the caller has it."""
    headers = {**headers, "etag": etag}
    known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
    if not known.isdisjoint({"*", etag}):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


_LIST = r'^(\*|(W/)?"[^"]*"(\s*,\s*(W/)?"[^"]*")*)$'
"""For the documentation; a pattern's error message would not say what to do."""


async def _expected(
    if_match: Annotated[str | None, Header(max_length=200, json_schema_extra={"pattern": _LIST})] = None,
) -> frozenset[int] | None:
    if if_match is None or if_match.strip() == "*":
        return None
    tags = [_TAG.fullmatch(tag.strip()) for tag in if_match.split(",")]
    if None in tags:
        raise BadRequest.at("header/if-match", 'Send the ETag as it came, in its quotes: "3".')
    # Compared strongly: a weak tag is about no version.
    return frozenset(int(tag[2]) for tag in tags if tag and tag[2] and not tag[1])


IfMatch = Annotated[frozenset[int] | None, Depends(_expected)]
"""The versions that the request's `If-Match` allows, for `require_version`; None when it makes no condition."""
