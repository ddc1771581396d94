"""The password of IAM authentication, with the credentials Lambda gives: as variables, or by SnapStart's endpoint."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from quintet.db import iam

KEY = "AKIDEXAMPLE"


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    iam._credentials.cache_clear()
    yield
    iam._credentials.cache_clear()


@pytest.fixture
def endpoint() -> Iterator[str]:
    """What Lambda serves credentials from after a restore."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers["Authorization"] == "runtime"
            self.send_response(200 if allowed else 403)
            self.end_headers()
            expires = "2100-01-01T00:00:00Z"
            found = {"AccessKeyId": KEY, "SecretAccessKey": "secret", "Token": "session", "Expiration": expires}
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/credentials"
        server.shutdown()


def check(token: str) -> None:
    assert token.startswith("db.example:5432/?")
    query = parse_qs(urlsplit("https://" + token).query)
    assert query["Action"] == ["connect"]
    assert query["DBUser"] == ["quintet_app"]
    assert query["X-Amz-Expires"] == ["900"]
    assert query["X-Amz-Credential"][0].startswith(KEY)
    assert query["X-Amz-Credential"][0].endswith("/eu-west-1/rds-db/aws4_request")
    assert query["X-Amz-Security-Token"] == ["session"]


def test_given_credentials_in_variables_then_the_token_is_signed_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    check(iam.auth_token("db.example", 5432, "quintet_app"))


def test_given_snapstart_when_only_the_endpoint_is_named_then_the_token_is_signed_with_what_it_gives(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", endpoint)
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "runtime")
    check(iam.auth_token("db.example", 5432, "quintet_app"))
