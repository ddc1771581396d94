"""Access tokens: what joserfc makes of our keys is accepted, and nothing that differs from it."""

import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OKPKey

from quintet.db.session import reading
from quintet.identity import tokens
from quintet.identity.keys import token_keys
from quintet.identity.tokens import AccessToken

USER, SESSION = uuid4(), uuid4()


def verify(token: str) -> AccessToken | None:
    """What we make of it."""
    with reading() as session:
        return tokens.verify(session, token)


def made(
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
    sign: Callable[[bytes], bytes] | None = None,
) -> str:
    """A token whose header and claims differ from ours, None leaving one out, signed by our key unless by `sign`."""
    keys = token_keys()[0]
    now = int(time.time())
    ours = {"iss": "quintet", "aud": "quintet-api", "sub": str(USER), "sid": str(SESSION), "iat": now, "exp": now + 60}
    parts = ({"alg": "Ed25519", "typ": "at+jwt", "kid": keys.kid} | (header or {}), ours | (claims or {}))
    signed = ".".join(
        _encoded(json.dumps({name: value for name, value in part.items() if value is not None})) for part in parts
    )
    return f"{signed}.{_encoded((sign or signer(keys.access))(signed.encode()))}"


def signer(key: OKPKey) -> Callable[[bytes], bytes]:
    """How this key signs."""
    private = key.private_key
    assert isinstance(private, Ed25519PrivateKey)
    return private.sign


def signed_with_public_key(message: bytes) -> bytes:
    """HS256 with what everybody knows as its secret."""
    public = token_keys()[0].access.public_key
    assert isinstance(public, Ed25519PublicKey)
    return hmac.digest(public.public_bytes_raw(), message, "sha256")


def _encoded(value: str | bytes) -> str:
    raw = value.encode() if isinstance(value, str) else value
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_given_a_token_that_we_issue_then_we_and_a_library_accept_it(stack: object) -> None:
    keys = token_keys()[0]
    token = tokens.issue(keys, user_id=USER, session_id=SESSION)
    assert verify(token) == AccessToken(user_id=USER, session_id=SESSION)
    claims = jwt.decode(token, keys.access, algorithms=["Ed25519"]).claims
    assert UUID(claims["sub"]) == USER
    assert claims["exp"] - claims["iat"] == tokens.LIFETIME
    assert verify(made()) == AccessToken(user_id=USER, session_id=SESSION)


REFUSED: dict[str, Callable[[], str]] = {
    "expired": lambda: made(claims={"exp": int(time.time()) - 10}),
    "never expiring": lambda: made(claims={"exp": None}),
    "expiring by a word": lambda: made(claims={"exp": "tomorrow"}),
    "of another issuer": lambda: made(claims={"iss": "somebody"}),
    "of no issuer": lambda: made(claims={"iss": None}),
    "for another audience": lambda: made(claims={"aud": "quintet-admin"}),
    "for two audiences": lambda: made(claims={"aud": ["quintet-api", "quintet-admin"]}),
    "of nobody": lambda: made(claims={"sub": None}),
    "of no session": lambda: made(claims={"sid": None}),
    "of a session that is no id": lambda: made(claims={"sid": "1 OR 1=1"}),
    "of another type": lambda: made({"typ": "JWT"}),
    "of no type": lambda: made({"typ": None}),
    "of an unknown key": lambda: made({"kid": "unknown"}),
    "of no key": lambda: made({"kid": None}),
    "signed by a stranger": lambda: made(sign=signer(OKPKey.generate_key("Ed25519"))),
    "under another name of the algorithm": lambda: made({"alg": "EdDSA"}),
    "unsigned": lambda: made({"alg": "none"}),
    "with an extension it calls critical": lambda: made({"crit": ["exp"]}),
    "signed with the public key as a password": lambda: made({"alg": "HS256"}, sign=signed_with_public_key),
    "without its signature": lambda: made().rpartition(".")[0] + ".",
    "in two parts": lambda: made().rpartition(".")[0],
    "in four parts": lambda: made() + ".e30",
    "nested too deeply": lambda: f"{_encoded('[' * 100_000)}.e30.e30",
    "with a header that is a list": lambda: f"{_encoded('[1]')}.e30.e30",
    "that is empty": lambda: "",
    "that is dots": lambda: "..",
    "that is no text": lambda: "\ud800.\ud800.\ud800",
}


@pytest.mark.parametrize("what", REFUSED)
def test_given_a_token_that_is_not_as_we_issue_them_then_it_is_refused(stack: object, what: str) -> None:
    assert verify(REFUSED[what]()) is None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_given_a_token_with_a_character_changed_then_it_is_refused_or_means_the_same(
    stack: object, data: st.DataObject
) -> None:
    token = made()
    place, other = data.draw(st.integers(0, len(token) - 1)), data.draw(st.characters())
    altered = token[:place] + other + token[place + 1 :]
    if altered != token and place <= token.rindex("."):
        assert verify(altered) is None
    else:  # bits that base64 leaves over at the end of the signature say nothing
        assert verify(altered) in (None, AccessToken(user_id=USER, session_id=SESSION))
