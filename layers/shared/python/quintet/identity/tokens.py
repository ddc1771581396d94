"""Access tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037, RFC 9864), typed `at+jwt` (RFC 9068)."""

import time
from dataclasses import dataclass
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jws import extract_compact
from joserfc.jwt import JWTClaimsRegistry
from sqlalchemy.orm import Session

from quintet.identity.keys import TokenKeys, public_key

ISSUER = "quintet"
AUDIENCE = "quintet-api"
LIFETIME = 15 * 60
"""Seconds."""
ALGORITHM = "Ed25519"
_TYPE = "at+jwt"

_claims = JWTClaimsRegistry(
    leeway=5,
    iss={"essential": True, "value": ISSUER},
    aud={"essential": True, "value": AUDIENCE},
    exp={"essential": True},
    sub={"essential": True},
    sid={"essential": True},
)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a valid token says: the account, and the session it lives and dies with."""

    user_id: UUID
    session_id: UUID


def issue(keys: TokenKeys, *, user_id: UUID, session_id: UUID) -> str:
    """A signed access token, valid for `LIFETIME` seconds."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(user_id),
        "sid": str(session_id),
        "iat": now,
        "exp": now + LIFETIME,
    }
    header = {"alg": ALGORITHM, "typ": _TYPE, "kid": keys.kid}
    return jwt.encode(header, claims, keys.access, algorithms=[ALGORITHM])


def verify(session: Session, token: str) -> AccessToken | None:
    """What `token` says; None when it is not one of ours, altered, or expired. `session` reads the public keys."""
    try:
        header = extract_compact(token.encode()).headers()
        key = public_key(session, str(header.get("kid")))
        if key is None or header.get("typ") != _TYPE:
            return None
        claims = jwt.decode(token, key, algorithms=[ALGORITHM]).claims
        _claims.validate(claims)
        return AccessToken(user_id=UUID(claims["sub"]), session_id=UUID(claims["sid"]))
    except (JoseError, ValueError, TypeError, AttributeError):
        return None
