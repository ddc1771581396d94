"""Tokens of a provider: got for a code, refreshed, revoked (RFC 6749, 4.1.3 and 6; RFC 7009).

Every call has timeouts and reads no more than it can use, and is made by whoever holds no database session meanwhile.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import TYPE_CHECKING, Any

from quintet import retry_after
from quintet.oauth.providers import Client

if TYPE_CHECKING:
    from authlib.integrations.requests_client import OAuth2Session
    from requests import PreparedRequest, Response

TIMEOUT = (3, 5)
"""Seconds to connect, and to wait for the answer's header, or a sign of life from then on."""
WHOLE_SECONDS = 7
"""From the request to the end of an answer's body. Three requests and the last wait end before the function does."""
MAX_BODY = 1024**2
"""Bytes of an answer."""

_TOKEN = re.compile(r"[\x21-\x7e]+")
"""Else HTTP's client would quote it when it refuses to send it in a header (RFC 6750, 2.1)."""
_AGENT = "Quintet"
"""GitHub answers nobody without a name."""
_CHUNK = 64 * 1024


class ProviderFailed(Exception):  # noqa: N818  (it is an outcome)
    """No answer, or none that makes sense: it may be better later. `retry_after`: seconds, if the provider said so."""

    def __init__(self, title: str, why: str, *, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(f"{title} did not answer as it should: {why}")
        self.status = status
        self.retry_after = retry_after


class ProviderRefused(Exception):  # noqa: N818
    """The provider says no, and will again: `error` is its word for why (RFC 6749, 5.2), or the status."""

    def __init__(self, title: str, error: str) -> None:
        super().__init__(f"{title} refused: {error}")
        self.error = error


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider gave."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    """When it is refreshed: the new one if there is one, else the one before."""
    id_token: str | None = field(repr=False)
    expires_at: datetime | None
    """None: the access token does not expire."""
    scopes: tuple[str, ...]
    """Those that were granted; none when the provider does not say, and then it is what was asked for."""


def exchange(client: Client, *, code: str, redirect_uri: str, verifier: str) -> Tokens:
    """Tokens for the code somebody came back with. Raises ProviderRefused or ProviderFailed, as all of these do."""
    with _calling(client) as http:
        return _tokens(
            client,
            http.fetch_token(
                client.provider.token_endpoint,
                grant_type="authorization_code",
                code=code,
                redirect_uri=redirect_uri,
                code_verifier=verifier,
                allow_redirects=False,
            ),
        )


def refresh(client: Client, refresh_token: str) -> Tokens:
    """New tokens. ProviderRefused: somebody has to connect again."""
    with _calling(client) as http:
        return _tokens(client, http.refresh_token(client.provider.token_endpoint, refresh_token, allow_redirects=False))


def revoke(client: Client, token: str) -> None:
    """Have the provider forget a token and what was granted with it. Repeatable."""
    endpoint = client.provider.revocation_endpoint
    with _calling(client) as http:
        if "{client_id}" in endpoint:
            answer = http.delete(
                endpoint.format(client_id=client.id),
                auth=(client.id, client.secret),
                json={"access_token": token},
                allow_redirects=False,
            )
        else:
            answer = http.revoke_token(endpoint, token, allow_redirects=False)  # type: ignore[no-untyped-call]
        _check(client)(answer)
        # That there is no such token is what was wanted: GitHub says 404 or 422 to that.
        if answer.status_code not in (200, 204, 404, 422):
            raise ProviderRefused(client.provider.title, str(answer.status_code))


def read(client: Client, url: str, token: str | None = None) -> Any:
    """The JSON at an address of the provider, as whoever the access token is of."""

    def bearer(request: "PreparedRequest") -> "PreparedRequest":
        """Without an `auth`, requests would be whoever a .netrc says."""
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        return request

    with _calling(client) as http:
        answer = _check(client)(http.request("GET", url, auth=bearer, withhold_token=True, allow_redirects=False))
        if answer.status_code != 200:
            raise ProviderRefused(client.provider.title, str(answer.status_code))
        return answer.json()


@contextmanager
def _calling(client: Client) -> "Iterator[OAuth2Session]":
    from authlib.integrations.base_client import OAuthError
    from authlib.integrations.requests_client import OAuth2Session
    from requests import RequestException
    from requests.adapters import HTTPAdapter
    from urllib3.exceptions import HTTPError

    from quintet.punctual import punctual

    adapter = HTTPAdapter()
    punctual(adapter.poolmanager)
    http = OAuth2Session(
        client.id,
        client.secret,
        token_endpoint_auth_method="client_secret_post",
        revocation_endpoint_auth_method="client_secret_post",
        default_timeout=TIMEOUT,
    )
    http.mount("https://", adapter)
    http.mount("http://", adapter)
    http.headers.update({"Accept": "application/json", "User-Agent": _AGENT})
    for kind in ("access_token_response", "refresh_token_response"):
        http.register_compliance_hook(kind, _check(client))
    title = client.provider.title
    http.hooks["response"].append(_bounded(client))
    try:
        with http:
            yield http
    except OAuthError as error:
        raise ProviderRefused(title, str(error.error)) from None
    # With the answer, which may hold a token. JSON can be too deep to be read, and a lifetime too long to be counted.
    except (RequestException, HTTPError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise ProviderFailed(title, type(error).__name__) from None


def _bounded(client: Client) -> "Callable[..., None]":
    def bound(answer: "Response", **_: object) -> None:
        """Read the body, as far and as long as is sensible: a timeout alone ends none that comes in drops."""
        until = time.monotonic() + WHOLE_SECONDS - answer.elapsed.total_seconds()
        body = bytearray()
        while chunk := answer.raw.read1(_CHUNK, decode_content=True):
            body += chunk
            if len(body) > MAX_BODY or time.monotonic() > until:
                answer.close()
                raise ProviderFailed(client.provider.title, "too much, or too slowly")
        answer.raw = BytesIO(body)

    return bound


def _check(client: Client) -> "Callable[[Response], Response]":
    def check(answer: "Response") -> "Response":
        if answer.status_code == 429 or answer.status_code >= 500:
            status = answer.status_code
            wait = retry_after.seconds(answer.headers.get("Retry-After"))
            raise ProviderFailed(client.provider.title, str(status), status=status, retry_after=wait)
        return answer

    return check


def _tokens(client: Client, given: dict[str, Any]) -> Tokens:
    access, kind = given.get("access_token"), str(given.get("token_type", "bearer"))
    if not isinstance(access, str) or not _TOKEN.fullmatch(access) or kind.lower() != "bearer":
        raise ProviderFailed(client.provider.title, "no token")
    renewed, scope = given.get("refresh_token"), given.get("scope")
    return Tokens(
        access_token=access,
        refresh_token=renewed if isinstance(renewed, str) and renewed else None,
        id_token=given.get("id_token"),
        expires_at=_expiry(client, given.get("expires_in")),
        # GitHub separates them by commas.
        scopes=tuple(scope.replace(",", " ").split()) if isinstance(scope, str) else (),
    )


def _expiry(client: Client, lifetime: Any) -> datetime | None:
    try:
        return None if lifetime is None else datetime.now(UTC) + timedelta(seconds=int(lifetime))
    except (TypeError, ValueError, OverflowError):
        raise ProviderFailed(client.provider.title, "a lifetime that is none") from None
