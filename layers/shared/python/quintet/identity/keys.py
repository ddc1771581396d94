"""The keys that sign tokens, all derived from one random secret in Secrets Manager.

`auth` alone reads the secret. The public halves are rows of `signing_keys`, which only the schema's owner may
write, so every function can verify a token and none but `auth` can make one. On rotation the version before
stays valid (Secrets Manager keeps it as AWSPREVIOUS).
"""

import hmac
import time
from dataclasses import dataclass
from typing import Any

from joserfc.jwk import OKPKey
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from quintet.config import settings

CACHE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """What one version of the secret gives: the key of access tokens and the HMAC key of refresh tokens."""

    access: OKPKey
    refresh: bytes

    @property
    def kid(self) -> str:
        """The key's id: its RFC 7638 thumbprint."""
        return self.access.thumbprint()

    @classmethod
    def derive(cls, secret: str) -> "TokenKeys":
        """Both keys of `secret`: the access key by HKDF-SHA256 (RFC 5869), the refresh key by HMAC-SHA256."""
        return cls(OKPKey.derive_key(secret), hmac.digest(secret.encode(), b"refresh token", "sha256"))


_private: tuple[float, tuple[TokenKeys, ...]] = (0.0, ())
_public: tuple[float, dict[str, OKPKey]] = (0.0, {})


def token_keys() -> tuple[TokenKeys, ...]:
    """The present keys, then those before the last rotation if there was one. Cached for five minutes."""
    global _private
    loaded_at, keys = _private
    if not keys or time.monotonic() - loaded_at > CACHE_SECONDS:
        keys = tuple(TokenKeys.derive(secret) for secret in read_secrets())
        _private = (time.monotonic(), keys)
    return keys


def read_secrets() -> list[str]:
    """The present secret, then the one before it if there is one."""
    from quintet.aws import secrets

    client, found = secrets(), []
    for stage in ("AWSCURRENT", "AWSPREVIOUS"):
        try:
            answer = client.get_secret_value(SecretId=settings().token_secret_id, VersionStage=stage)
        except client.exceptions.ResourceNotFoundException:
            if stage == "AWSCURRENT":
                raise
        else:
            found.append(answer["SecretString"])
    return found


def public_key(session: Session, kid: str) -> OKPKey | None:
    """The public key `kid`; None when there is none. Cached for five minutes, read again for an unknown one."""
    global _public
    loaded_at, keys = _public
    age = time.monotonic() - loaded_at
    if age > CACHE_SECONDS or (kid not in keys and age > 1):
        rows = session.connection().exec_driver_sql("SELECT kid, jwk FROM signing_keys").all()
        keys = {row.kid: OKPKey.import_key(row.jwk) for row in rows}
        _public = (time.monotonic(), keys)
    return keys.get(kid)


def register_public_keys(connection: Connection, *more: TokenKeys) -> None:
    """Make the public halves of the present keys (and of `more`) known. `connection` is the owner's."""
    from sqlalchemy.dialects.postgresql import insert

    from quintet.db.models import SigningKey

    for keys in (*(TokenKeys.derive(secret) for secret in read_secrets()), *more):
        statement = insert(SigningKey).values(kid=keys.kid, jwk=public_jwk(keys))
        connection.execute(statement.on_conflict_do_nothing())


def public_jwk(keys: TokenKeys) -> dict[str, Any]:
    """The public key as a JWK for the key set (RFC 7517, RFC 8037)."""
    return {**keys.access.as_dict(private=False), "kid": keys.kid, "use": "sig", "alg": "Ed25519"}


def forget_keys() -> None:
    """Read every key anew when next used."""
    global _private, _public
    _private, _public = (0.0, ()), (0.0, {})
