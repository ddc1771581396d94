"""GitHub and Google as one small, strict server on this machine, and the browsers that are sent there and come back.

What it takes from us it checks: client, redirect URI, PKCE, that a code is used once.
"""

import base64
import hashlib
import itertools
import json
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from infra.local.events import Response
from quintet import aws
from quintet.config import settings
from quintet.oauth.providers import forget_clients
from tests.support.api import Api

CLIENT_ID = "quintet-client"
CLIENT_SECRET = "the secret of the client"  # nothing in it to be found by chance
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
_ids = itertools.count(1000)

Behaviour = Callable[[BaseHTTPRequestHandler], object]


@dataclass(frozen=True)
class Account:
    """Somebody's account at the provider."""

    subject: int = field(default_factory=lambda: next(_ids))
    email: str = field(default_factory=lambda: f"{secrets.token_hex(8)}@example.com")
    verified: bool = True
    name: str | None = "Grace Hopper"


class Provider:
    """Where it listens, what came in, and how it behaves: `behaviours` has its way with a path."""

    def __init__(self) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.requests: list[str] = []
        self.claims: dict[str, Any] = {}
        """What ID tokens say instead."""
        self.key = RSAKey.generate_key(2048, {"kid": "first", "alg": "RS256"}, auto_kid=False)
        """What it signs by."""
        self._codes: dict[str, tuple[dict[str, str], Account]] = {}
        self._tokens: dict[str, Account] = {}
        self.given: set[str] = set()
        """Every code and token that was ever given, which are to be found nowhere."""
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def settings(self) -> dict[str, dict[str, str]]:
        """What the secret says of it."""
        shared = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "api": self.url}
        return {
            "github": {
                **shared,
                "issuer": f"{self.url}/github",
                "authorization_endpoint": f"{self.url}/authorize?at=github",
                "token_endpoint": f"{self.url}/github/token",
                "revocation_endpoint": f"{self.url}/applications/{{client_id}}/token",
            },
            "google": {
                **shared,
                "issuer": self.url,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/google/token",
                "revocation_endpoint": f"{self.url}/revoke",
                "jwks_uri": f"{self.url}/certs",
            },
        }

    def code(self, asked: dict[str, str], account: Account) -> str:
        """A code for what an authorization request asked for."""
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked, account
        self.given.add(code)
        return code

    def _token(self, form: dict[str, str], at: str) -> tuple[int, dict[str, Any]]:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client"}
        asked, account = self._codes.pop(form.get("code", ""), ({}, Account()))
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if (
            form.get("grant_type") != "authorization_code"
            or form.get("redirect_uri") != asked.get("redirect_uri")
            or challenge.rstrip(b"=").decode() != asked.get("code_challenge")
        ):
            return (200 if at == "github" else 400), {"error": "invalid_grant"}  # GitHub says it so
        token = secrets.token_urlsafe(16)
        self._tokens[token] = account
        given: dict[str, Any] = {
            "access_token": token,
            "token_type": "bearer",
            "scope": asked["scope"].replace(" ", ","),
        }
        if at == "google":
            given |= {"expires_in": 3599, "id_token": self._id_token(asked, account)}
            self.given.add(given["id_token"])
        self.given.add(token)
        return 200, given

    def _id_token(self, asked: dict[str, str], account: Account) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": str(account.subject),
            "email": account.email,
            "email_verified": account.verified,
            "name": account.name,
            "nonce": asked.get("nonce"),
            "iat": now,
            "exp": now + 3600,
        } | self.claims
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)

    def _api(self, path: str, authorization: str) -> tuple[int, Any]:
        account = self._tokens.get(authorization.removeprefix("Bearer "))
        if path == "/certs":
            return 200, KeySet([self.key]).as_dict(private=False)
        if account is None:
            return 401, {"message": "Bad credentials"}
        if path == "/user":
            return 200, {"id": account.subject, "login": "grace", "name": account.name}
        if path == "/user/emails":
            other = {"email": f"other-{account.email}", "primary": False, "verified": True}
            return 200, [other, {"email": account.email, "primary": True, "verified": account.verified}]
        return 404, {"message": "Not Found"}

    def _handler(provider) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"] or 0)).decode()
                path = urlsplit(self.path).path
                provider.requests.append(f"{self.command} {path}")
                with suppress(BrokenPipeError, ConnectionResetError):
                    if behave := provider.behaviours.get(path):
                        behave(self)
                    elif path.endswith("/token") and self.command == "POST":
                        self.answer(*provider._token(dict(parse_qsl(body)), path.split("/")[1]))
                    else:
                        self.answer(*provider._api(path, self.headers["authorization"] or ""))

            do_GET = do_POST  # noqa: N815

            def answer(self, status: int, content: Any) -> None:
                answer(status, json.dumps(content).encode())(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: the test's own output is read."""

        return Handler


def answer(status: int, body: bytes, **headers: str) -> Behaviour:
    """Answer this."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return behave


@cache
def provider() -> Provider:
    """The one that the API under test is set up for, from the first time it is asked for."""
    made = Provider()
    configure(made.settings())
    return made


def configure(clients: dict[str, dict[str, str]]) -> None:
    """Write the secret, as an operator does."""
    aws.secrets().put_secret_value(SecretId=settings().oauth_clients_secret_id, SecretString=json.dumps(clients))
    forget_clients()


class Browser:
    """Somebody's browser: it keeps the cookies it is given, and comes from an address of its own."""

    def __init__(self, api: Api | None = None) -> None:
        self.api = api or Api()
        self.cookies: dict[str, str] = {}
        self.at = ""
        self.asked: dict[str, str] = {}
        """What the authorization request asks for."""

    def get(self, path: str, query: dict[str, str], **headers: str) -> Response:
        """Go there."""
        sent = {"cookie": self.cookie(), **headers}
        return self.keep(self.api.get(path, query=list(query.items()), headers=sent))

    def keep(self, answer: Response) -> Response:
        """Keep the cookies of an answer."""
        for name, value in answer.headers:
            if name.lower() == "set-cookie":
                cookie, _, kept = value.partition(";")[0].partition("=")
                self.cookies[cookie] = kept
        return answer

    def begin(self, at: str, prefix: str = "", **query: str) -> Self:
        """Start to sign in at a provider."""
        provider()
        self.at = at
        answer = self.get(f"{prefix}/login", {"provider": at, **query})
        assert answer.status == 303, answer
        self.asked = asked_of(answer.header("location") or "")
        return self

    def accept(self, account: Account) -> dict[str, Any]:
        """The parts of the request that the provider sends it back with, once it has agreed there."""
        query = {"code": provider().code(self.asked, account), "state": self.asked["state"]}
        return {"query": query, "headers": {"cookie": self.cookie()}}

    def come_back(self, account: Account, prefix: str = "", html: bool = False, **instead: str) -> Response:
        """Agree at the provider and come back, with `instead` in the query."""
        return self.back(prefix, html, **(self.accept(account)["query"] | instead))

    def back(self, prefix: str = "", html: bool = False, at: str = "", **query: str) -> Response:
        """Come back with this."""
        return self.get(f"{prefix}/login/callback/{at or self.at}", query, **(BROWSER if html else {}))

    def cookie(self) -> str:
        """What it sends."""
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())


def asked_of(url: str) -> dict[str, str]:
    """The parameters of an authorization request, each of which is there once."""
    found = parse_qs(urlsplit(url).query)
    assert all(len(values) == 1 for values in found.values()), url
    return {name: values[0] for name, values in found.items()}
