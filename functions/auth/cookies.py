"""The refresh token's cookie, and where it may be used from."""

from fastapi import Request
from starlette.responses import Response

from functions.auth.refresh import IDLE
from quintet.config import settings
from quintet.errors import Forbidden
from quintet.http.dependencies import public_host

COOKIE = "__Host-refresh"
"""The prefix makes browsers insist on Secure, Path=/ and no Domain (RFC 6265bis, 4.1.3.2)."""


def set_cookie(response: Response, token: str) -> None:
    """Give the browser the refresh token; no script can read it."""
    _write(response, token, int(IDLE.total_seconds()))


def clear_cookie(response: Response) -> None:
    """Take it away."""
    _write(response, "", 0)


def check_origin(request: Request) -> None:
    """403 for a browser request of a page that is not ours.

    execute-api is a public suffix: there every front end is another site, the cookie has to be SameSite=None,
    and this check is what stands in for it. Browsers send Origin with every cross-site POST.
    """
    origin = request.headers.get("origin")
    if origin is None or origin in settings().cors_origins:
        return
    if origin.partition("://")[2] != public_host(request):
        raise Forbidden("This page's origin may not use the refresh cookie.")


def _write(response: Response, value: str, max_age: int) -> None:
    response.set_cookie(
        COOKIE,
        value,
        max_age=max_age,
        path="/",
        secure=True,
        httponly=True,
        samesite="strict" if settings().same_site_cookies else "none",
    )
