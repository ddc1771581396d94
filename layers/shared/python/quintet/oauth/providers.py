"""The providers as data, and what this installation is to each of them.

The secret that says so is a JSON object: provider -> `client_id`, `client_secret` and, where it is not the public one
that is meant (GitHub Enterprise Server, or a server of a test), any other field of `Provider` by its name.
"""

import json
import math
import time
from dataclasses import dataclass, field, replace

from quintet.config import settings
from quintet.errors import NotFound

CACHE_SECONDS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An authorization server, and the API its tokens are for. The names are those of RFC 8414 where it has one."""

    name: str
    title: str
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str
    """As RFC 7009 has it; of GitHub, which has it otherwise, with a place for the client's id."""
    api: str
    """What addresses of its API begin with."""
    jwks_uri: str = ""
    """The keys of its ID tokens, if it is an OpenID provider."""
    sign_in_scopes: tuple[str, ...]
    """What is asked for to learn who somebody is, and no more."""


PROVIDERS = {
    provider.name: provider
    for provider in (
        Provider(
            name="github",
            title="GitHub",
            issuer="https://github.com/login/oauth",
            authorization_endpoint="https://github.com/login/oauth/authorize",
            token_endpoint="https://github.com/login/oauth/access_token",
            revocation_endpoint="https://api.github.com/applications/{client_id}/token",
            api="https://api.github.com",
            sign_in_scopes=("read:user", "user:email"),
        ),
        Provider(
            name="google",
            title="Google",
            issuer="https://accounts.google.com",
            authorization_endpoint="https://accounts.google.com/o/oauth2/v2/auth",
            token_endpoint="https://oauth2.googleapis.com/token",
            revocation_endpoint="https://oauth2.googleapis.com/revoke",
            api="https://www.googleapis.com",
            jwks_uri="https://www.googleapis.com/oauth2/v3/certs",
            sign_in_scopes=("openid", "email", "profile"),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Client:
    """What we are to a provider."""

    provider: Provider
    id: str
    secret: str = field(repr=False)


_configured: tuple[float, dict[str, dict[str, str]]] = (-math.inf, {})


def client_of(name: str) -> Client:
    """Our client at the provider of this name; 404 where nobody has set one up."""
    global _configured
    loaded_at, configured = _configured
    if time.monotonic() - loaded_at > CACHE_SECONDS:
        configured = _read()
        _configured = (time.monotonic(), configured)
    if name not in configured:
        raise NotFound(f"{PROVIDERS[name].title} is not set up here. Whoever operates this installation can do that.")
    return _client(name, **configured[name])  # made here, so that a mistake in one is not one in all


def forget_clients() -> None:
    """Read the secret anew when it is next asked for."""
    global _configured
    _configured = (-math.inf, {})


def _read() -> dict[str, dict[str, str]]:
    from quintet.aws import secrets

    text = secrets().get_secret_value(SecretId=settings().oauth_clients_secret_id)["SecretString"]
    configured: dict[str, dict[str, str]] = json.loads(text)
    return configured


def _client(name: str, *, client_id: str, client_secret: str, **instead: str) -> Client:
    return Client(replace(PROVIDERS[name], **instead), client_id, client_secret)  # type: ignore[arg-type]
