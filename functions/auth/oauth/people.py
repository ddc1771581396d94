"""Who has come back from a provider, by what the provider tells us."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from quintet.http.schemas import Email
from quintet.oauth.authorization import AuthorizationRefused, Resumed
from quintet.oauth.providers import Client
from quintet.oauth.tokens import ProviderFailed, ProviderRefused, Tokens, exchange, read
from quintet.observability import logger

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

_LEEWAY = 60
"""Seconds that clocks may differ."""
_KEYS_SECONDS = 3600

_key_sets: dict[str, tuple[float, "KeySet"]] = {}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody's account at a provider."""

    subject: str
    email: str | None
    """Only if the provider has verified it, and in the form addresses are stored in."""
    name: str


class _GitHubUser(BaseModel):
    id: int
    login: str
    name: str | None = None


class _GitHubEmail(BaseModel):
    email: str
    primary: bool
    verified: bool


class _GoogleClaims(BaseModel):
    sub: str = Field(pattern="^[ -~]{1,255}$")  # OpenID Connect Core 1.0, 2
    email: str | None = None
    email_verified: bool = False
    name: str | None = None


_GITHUB_EMAILS = TypeAdapter(list[_GitHubEmail])
_EMAIL: TypeAdapter[str] = TypeAdapter(Email)


def who_is(client: Client, begun: Resumed, *, redirect_uri: str) -> Person:
    """Who it is that came back with a code, by two or three requests. Raises AuthorizationRefused."""
    title = client.provider.title
    try:
        tokens = exchange(client, code=begun.code, redirect_uri=redirect_uri, verifier=begun.verifier)
    except ProviderRefused as refused:
        logger.warning(str(refused))
        detail = f"{title} does not take what you came back with. Begin again."
        raise AuthorizationRefused(400, "provider_refused", detail, at="code", user_id=begun.user_id) from None
    except ProviderFailed as failed:
        raise _failed(client, begun, failed) from None
    try:
        return _by_id_token(client, tokens, begun.nonce) if client.provider.jwks_uri else _by_github(client, tokens)
    except (ProviderRefused, ProviderFailed) as failed:
        raise _failed(client, begun, failed) from None
    except ValidationError:
        raise _failed(client, begun, f"{title} did not say who it is.") from None


def _failed(client: Client, begun: Resumed, why: object) -> AuthorizationRefused:
    logger.warning(str(why))
    detail = f"{client.provider.title} does not answer as it should. Try again soon."
    return AuthorizationRefused(502, "provider_failed", detail, user_id=begun.user_id)


def _by_github(client: Client, tokens: Tokens) -> Person:
    address = f"{client.provider.api}/user"
    user = _GitHubUser.model_validate(read(client, address, tokens.access_token))
    try:
        emails = _GITHUB_EMAILS.validate_python(read(client, f"{address}/emails", tokens.access_token))
    except ProviderRefused:  # we may not read them; who is known already needs none
        emails = []
    verified = next((email.email for email in emails if email.primary and email.verified), None)
    return _person(str(user.id), verified, user.name or user.login)


def _by_id_token(client: Client, tokens: Tokens, nonce: str) -> Person:
    claims = _GoogleClaims.model_validate(_verified(client, tokens, nonce))
    return _person(claims.sub, claims.email if claims.email_verified else None, claims.name or "")


def _person(subject: str, email: str | None, name: str) -> Person:
    try:
        address = None if email is None else _EMAIL.validate_python(email)
    except ValidationError:  # none that we could write to
        address = None
    called = "".join(character for character in name if character.isprintable()).strip()[:100].strip()
    return Person(subject, address, called or (address or subject).partition("@")[0])


def _verified(client: Client, tokens: Tokens, nonce: str) -> dict[str, Any]:
    """The claims of the ID token (OpenID Connect Core 1.0, 3.1.3.7)."""
    from authlib.oidc.core import CodeIDToken
    from joserfc import jwt
    from joserfc.errors import InvalidKeyIdError, JoseError

    def decoded(keys: "KeySet") -> jwt.Token:
        return jwt.decode(tokens.id_token or "", keys, algorithms=["RS256"])

    try:
        try:
            token = decoded(_key_set(client))
        except InvalidKeyIdError:  # the provider has changed its keys since
            token = decoded(_key_set(client, max_age=1))
        issuer = client.provider.issuer
        claims = CodeIDToken(
            token.claims,
            token.header,
            {
                # Google may leave the scheme out.
                "iss": {"essential": True, "values": [issuer, issuer.removeprefix("https://")]},
                "aud": {"essential": True, "value": client.id},
            },
            {"nonce": nonce, "client_id": client.id, "access_token": tokens.access_token},
        )
        claims.validate(leeway=_LEEWAY)
    except (JoseError, ValueError, TypeError, LookupError) as error:  # of keys that are none, too
        raise ProviderFailed(client.provider.title, f"an ID token that is not good, {type(error).__name__}") from None
    return dict(claims)


def _key_set(client: Client, *, max_age: float = _KEYS_SECONDS) -> "KeySet":
    from joserfc.jwk import KeySet

    uri = client.provider.jwks_uri
    loaded_at, keys = _key_sets.get(uri, (0.0, None))
    if keys is None or time.monotonic() - loaded_at > max_age:
        keys = KeySet.import_key_set(read(client, uri))
        _key_sets[uri] = time.monotonic(), keys
    return keys
