"""Access tokens: JWTs (RFC 7519) signed with Ed25519 (RFC 8037, RFC 9864), typed `at+jwt` (RFC 9068)."""

import json
import time
from base64 import b64decode
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from sqlalchemy.orm import Session

from quintet.identity.keys import TokenKeys, public_key

ISSUER = "quintet"
AUDIENCE = "quintet-api"
LIFETIME = 15 * 60
"""Seconds."""
ALGORITHM = "Ed25519"
_TYPE = "at+jwt"

_LEEWAY = 5
"""Seconds that clocks may differ."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a valid token says: the account, and the session it lives and dies with."""

    user_id: UUID
    session_id: UUID


def issue(keys: TokenKeys, *, user_id: UUID, session_id: UUID) -> str:
    """A signed access token, valid for `LIFETIME` seconds."""
    from joserfc import jwt

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
    """What `token` says; None when it is not one of ours, altered, or expired. `session` reads the public keys.

    RFC 7515, section 5.2, for the one form and algorithm we issue: every function does this, and importing joserfc
    for it would cost each cold start 40 ms.
    """
    try:
        signed, _, signature = token.encode().rpartition(b".")
        protected, payload = signed.split(b".")
        header = json.loads(_decoded(protected))
        if header["alg"] != ALGORITHM or header["typ"] != _TYPE or "crit" in header:
            return None
        key = public_key(session, str(header["kid"]))
        if key is None:
            return None
        key.verify(_decoded(signature), signed)
        claims = json.loads(_decoded(payload))
        if claims["iss"] != ISSUER or claims["aud"] != AUDIENCE or claims["exp"] + _LEEWAY < time.time():
            return None
        return AccessToken(user_id=UUID(claims["sub"]), session_id=UUID(claims["sid"]))
    except (InvalidSignature, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _decoded(part: bytes) -> bytes:
    """Base64url without padding (RFC 7515, section 2); ValueError for anything else."""
    return b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
