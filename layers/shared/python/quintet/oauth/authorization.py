"""Sending somebody to a provider, and knowing them when they come back (RFC 6749, 4.1; RFC 7636; RFC 9700).

A `state` works once and for ten minutes, for what it was made for, at its provider, in the browser that it was made
in: it is signed for these, and a row remembers it. PKCE's verifier and OpenID's nonce are derived from it, so that
nothing is stored that could be stolen.
"""

import base64
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.db.reads import rows
from quintet.errors import FieldError, Problem
from quintet.identity.one_time_tokens import LIFETIMES, hash_of
from quintet.oauth.providers import Client

Flow = Literal["sign_in", "connect"]
"""What somebody is sent for: to say who they are, or to let us use the provider's API for them."""

_REMEMBER = """
    INSERT INTO one_time_tokens (hash, purpose, user_id, session_id, data, expires_at)
    VALUES (%(hash)s, 'oauth_state', %(user_id)s, %(session_id)s, %(data)s, now() + %(lifetime)s) RETURNING hash"""

_SPEND = """
    UPDATE one_time_tokens SET used_at = now()
    WHERE hash = %(hash)s AND purpose = 'oauth_state' AND used_at IS NULL AND expires_at > now()
    RETURNING user_id, session_id, data"""


_ERROR = re.compile(r"[a-z_]{1,50}")


class AuthorizationRefused(Problem):
    """Nothing came of an authorization, and nothing changes.

    `reason` is a word for the record, `at` the parameter that was wrong, `user_id` the account it was begun for, `data`
    what was given to `begin`, as far as `resume` knows.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        at: str = "",
        user_id: UUID | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.status = status
        super().__init__(detail, errors=[FieldError(f"query/{at}", detail)] if at else ())
        self.reason, self.user_id, self.data = reason, user_id, data or {}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider sent somebody back with (RFC 6749, 4.1.2; RFC 9207)."""

    code: str | None = field(repr=False)
    state: str | None = field(repr=False)
    issuer: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Resumed:
    """What was begun, once somebody has come back from the provider with a code."""

    code: str = field(repr=False)
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    user_id: UUID | None
    session_id: UUID | None
    data: dict[str, Any]


def begin(
    session: Session,
    client: Client,
    *,
    flow: Flow,
    browser: str,
    redirect_uri: str,
    scopes: Iterable[str],
    user_id: UUID | None = None,
    session_id: UUID | None = None,
    data: Mapping[str, Any] | None = None,
    **parameters: str,
) -> str:
    """The provider's address to send somebody to; one statement.

    `browser` is the value by which theirs is known again (`quintet.http.oauth`).
    `data` (ids and facts, no secrets), the account and its session come back from `resume`. `parameters` are the
    provider's own, such as Google's `access_type`. `redirect_uri` is to be given again when the code is exchanged.
    """
    from authlib.oauth2.client import OAuth2Client  # 50 ms, which other requests do without
    from psycopg.types.json import Jsonb

    random = secrets.token_urlsafe(32)
    state = f"{random}.{_derived(client, 'state', flow, browser, random)}"
    remembered = {
        "hash": hash_of(state),
        "user_id": user_id,
        "session_id": session_id,
        "data": Jsonb(dict(data or {})),
        "lifetime": LIFETIMES["oauth_state"],
    }
    rows(session, _REMEMBER, remembered)
    scope = " ".join(scopes)
    if client.provider.jwks_uri and "openid" in scope.split():
        parameters["nonce"] = _derived(client, "nonce", random)
    authorization = OAuth2Client(
        None, client_id=client.id, redirect_uri=redirect_uri, scope=scope, code_challenge_method="S256"
    )
    url, _ = authorization.create_authorization_url(
        client.provider.authorization_endpoint,
        state=state,
        code_verifier=_derived(client, "verifier", random),
        **parameters,
    )
    return str(url)


def resume(session: Session, client: Client, *, flow: Flow, browser: str, answer: Answer) -> Resumed:
    """What the answer's `state` was made for, which is spent by that; one statement. Raises AuthorizationRefused."""
    title, state = client.provider.title, answer.state or ""
    random, _, signature = state.partition(".")
    signed = _derived(client, "state", flow, browser, random)
    if not hmac.compare_digest(signature.encode(errors="replace"), signed.encode()):
        detail = f"This was not begun in this browser, or not with {title}. Begin again."
        raise AuthorizationRefused(400, "mixed_up", detail, at="state")
    found = rows(session, _SPEND, {"hash": hash_of(state)})
    if not found:
        detail = "This took longer than ten minutes, or it was done already. Begin again."
        raise AuthorizationRefused(400, "expired", detail, at="state")
    [begun] = found
    refused = partial(AuthorizationRefused, user_id=begun.user_id, data=begun.data)
    if answer.issuer is not None and answer.issuer != client.provider.issuer:
        raise refused(400, "wrong_issuer", f"This answer is not from {title}. Begin again.", at="iss")
    if answer.error == "access_denied":
        raise refused(403, "denied", f"You did not allow it at {title}.")
    if answer.error or not answer.code:
        word = answer.error if answer.error and _ERROR.fullmatch(answer.error) else "no_code"
        raise refused(502, word, f"{title} could not do it ({word}).")
    return Resumed(
        answer.code,
        _derived(client, "verifier", random),
        _derived(client, "nonce", random),
        begun.user_id,
        begun.session_id,
        begun.data,
    )


def _derived(client: Client, *what: str) -> str:
    """43 characters that nobody can make who does not know the client's secret."""
    message = "\n".join((client.provider.name, *what))
    digest = hmac.digest(client.secret.encode(), message.encode(), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
