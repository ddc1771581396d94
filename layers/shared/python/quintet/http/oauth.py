"""The browser's side of an authorization: the cookie by which it is known again, what it comes back with, and where it
goes in the end."""

import re
import secrets
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Query, Request
from pydantic import AfterValidator, Field
from starlette.responses import Response

from quintet.config import settings
from quintet.http.dependencies import public_host
from quintet.http.envelope import link
from quintet.identity.one_time_tokens import LIFETIMES
from quintet.oauth.authorization import Answer

_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")
_PRINTABLE = re.compile(r"[!-~]+")


def _of_a_front_end(value: str) -> str:
    parts = urlsplit(value) if _PRINTABLE.fullmatch(value) and "\\" not in value else None
    if parts is None or f"{parts.scheme}://{parts.netloc}" not in settings().cors_origins:
        raise ValueError("send an address of one of the front ends that this installation knows")
    return value


ReturnTo = Annotated[
    str,
    Field(
        max_length=1000,
        description="Where the browser goes in the end: an address of a known front end.",
        examples=["https://app.example.com/welcome"],
    ),
    AfterValidator(_of_a_front_end),
]
"""The origin is compared as it is, so that nothing but a front end's own address is one."""


async def _answer(
    code: Annotated[str | None, Query(description="Of the provider, and good once.")] = None,
    state: Annotated[str | None, Query(description="What we sent along.")] = None,
    iss: Annotated[str | None, Query(description="Who the provider says it is.")] = None,
    error: Annotated[str | None, Query(description="Instead of a code, such as `access_denied`.")] = None,
) -> Answer:
    return Answer(code, state, iss, error)


ProviderAnswer = Annotated[Answer, Depends(_answer)]
"""For the route that a provider sends people back to: a page, since providers add parameters of their own."""


def browser_of(request: Request) -> str:
    """The value by which this browser is known, or a new one: what is begun in two tabs has the same."""
    known = request.cookies.get(_cookie(request), "")
    return known if _VALUE.fullmatch(known) else secrets.token_urlsafe(32)


def remember(request: Request, response: Response, browser: str, *, fetched: bool = False) -> None:
    """Give the browser its value, for as long as a state is good.

    `fetched`: a front end gets this answer by a script, not the browser by going there. From another site it can only
    be given a cookie that is SameSite=None then; what protects a state is that the cookie has to be there.
    """
    secure = request.url.scheme == "https"
    response.set_cookie(
        _cookie(request),
        browser,
        max_age=int(LIFETIMES["oauth_state"].total_seconds()),
        path="/",
        secure=secure,
        httponly=True,
        samesite="none" if fetched and secure and not settings().same_site_cookies else "lax",
    )


def callback(request: Request, path: str) -> str:
    """The whole address of a path of this API, as it is registered with providers: under the first prefix.

    By the host that the browser used, which API Gateway (or the CDN) lets through only if it is one of ours.
    """
    return f"{request.url.scheme}://{public_host(request)}{link(request.scope, path)}"


def _cookie(request: Request) -> str:
    """With https browsers insist on Secure, Path=/ and no Domain (RFC 6265bis, 4.1.3.2)."""
    return "__Host-oauth" if request.url.scheme == "https" else "oauth"
