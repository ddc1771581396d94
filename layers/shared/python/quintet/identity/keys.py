"""The keys that sign tokens, all derived from one random secret in Secrets Manager.

`auth` alone reads the secret. The public halves are rows of `signing_keys`, which only the schema's owner may
write, so every function can verify a token and none but `auth` can make one. On rotation the version before
stays valid (Secrets Manager keeps it as AWSPREVIOUS): a warm `auth` signs with it until its cache is old. A new key's
public half is registered before anything signs with it.
"""

import hmac
import math
import time
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from quintet.config import settings
from quintet.db.reads import rows

if TYPE_CHECKING:
    from joserfc.jwk import OKPKey

CACHE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """What one version of the secret gives: the key of access tokens and the HMAC key of refresh tokens."""

    access: "OKPKey"
    kid: str
    """The access key's id: its thumbprint (RFC 7638)."""
    refresh: bytes

    @classmethod
    def derive(cls, secret: str) -> "TokenKeys":
        """Both keys of `secret`: the access key by HKDF-SHA256 (RFC 5869), the refresh key by HMAC-SHA256."""
        from joserfc.jwk import OKPKey  # 40 ms, and most functions only verify

        access = OKPKey.derive_key(secret)
        return cls(access, access.thumbprint(), hmac.digest(secret.encode(), b"refresh token", "sha256"))


@dataclass(frozen=True, slots=True)
class SecretVersion:
    """One version of the random secret, and when it was made."""

    id: str
    secret: str
    created_at: datetime


_NEVER = -math.inf
_private: tuple[float, tuple[TokenKeys, ...]] = (_NEVER, ())
_public: tuple[float, dict[str, Ed25519PublicKey]] = (_NEVER, {})


def token_keys(*, max_age: float = CACHE_SECONDS) -> tuple[TokenKeys, ...]:
    """The present keys, then those before the last rotation if there was one.

    What is cached is at most `max_age` seconds old: ask for less when none of them fits, since another instance may
    have read newer ones.
    """
    global _private
    loaded_at, keys = _private
    if time.monotonic() - loaded_at > max_age:
        keys = tuple(TokenKeys.derive(version.secret) for version in secret_versions())
        _private = (time.monotonic(), keys)
    return keys


def secret_versions() -> list[SecretVersion]:
    """The present version of the secret, then the one before it if there is one."""
    from quintet.aws import secrets

    client, found = secrets(), []
    for stage in ("AWSCURRENT", "AWSPREVIOUS"):
        try:
            answer = client.get_secret_value(SecretId=settings().token_secret_id, VersionStage=stage)
        except client.exceptions.ResourceNotFoundException:
            if stage == "AWSCURRENT":
                raise
        else:
            found.append(SecretVersion(answer["VersionId"], answer["SecretString"], answer["CreatedDate"]))
    return found


def public_key(session: Session, kid: str) -> Ed25519PublicKey | None:
    """The public key `kid`; None when there is none. Cached for five minutes, read again for an unknown one."""
    global _public
    loaded_at, keys = _public
    age = time.monotonic() - loaded_at
    if age > CACHE_SECONDS or (kid not in keys and age > 1):
        found = rows(session, "SELECT kid, jwk FROM signing_keys")
        keys = {row.kid: Ed25519PublicKey.from_public_bytes(_decoded(row.jwk["x"])) for row in found}
        _public = (time.monotonic(), keys)
    return keys.get(kid)


def register_public_keys(connection: Connection, *more: TokenKeys) -> None:
    """Make the public halves of the present keys (and of `more`) known. `connection` is the owner's."""
    from sqlalchemy.dialects.postgresql import insert

    from quintet.db.models.sessions import SigningKey

    for keys in (*(TokenKeys.derive(version.secret) for version in secret_versions()), *more):
        statement = insert(SigningKey).values(kid=keys.kid, jwk=public_jwk(keys))
        connection.execute(statement.on_conflict_do_nothing())


def public_jwk(keys: TokenKeys) -> dict[str, Any]:
    """The public key as a JWK for the key set (RFC 7517, RFC 8037)."""
    return {**keys.access.as_dict(private=False), "kid": keys.kid, "use": "sig", "alg": "Ed25519"}


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def forget_keys() -> None:
    """Read every key anew when next used."""
    global _private, _public
    _private, _public = (_NEVER, ()), (_NEVER, {})
