"""Whom we push to, and the key by which push services know us (VAPID, RFC 8292).

The key is derived from a random secret of its own, which does not rotate: a browser subscribes to one public key, and
would have to subscribe again to another.
"""

import re
from base64 import urlsafe_b64encode
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from quintet.config import settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_ENDPOINT = re.compile(r"https://([a-z0-9.-]+(?::[0-9]+)?)/[!-~]*")
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group that P-256 generates."""


def is_push_service(endpoint: str) -> bool:
    """Whether this is an address of a push service we know: what others may make us send requests to is a list."""
    match = _ENDPOINT.fullmatch(endpoint)
    return match is not None and any(fnmatchcase(match[1], service) for service in settings().push_services)


@lru_cache(maxsize=1)
def private_key() -> "EllipticCurvePrivateKey":
    """The private key, of P-256: HKDF-SHA256 (RFC 5869) of the secret, by FIPS 186-5, A.2.1."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    from quintet.aws import secrets

    secret = secrets().get_secret_value(SecretId=settings().push_secret_id)["SecretString"]
    derived = HKDF(algorithm=SHA256(), length=48, salt=None, info=b"quintet web push").derive(secret.encode())
    return ec.derive_private_key(int.from_bytes(derived) % (_ORDER - 1) + 1, ec.SECP256R1())


@lru_cache(maxsize=1)
def public_key() -> str:
    """The public key as browsers take it (`applicationServerKey`): the point, uncompressed, in base64url."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    point = private_key().public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return urlsafe_b64encode(point).rstrip(b"=").decode()
