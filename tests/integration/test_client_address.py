"""Whose a request is: the connection's, or what a CDN says where everything comes through it."""

import secrets
from collections.abc import Iterator

import pytest

from quintet.config import settings
from tests.support.api import Api
from tests.support.people import person
from tests.support.statements import execute

HEADER = "x-viewer-address"


@pytest.fixture
def behind_cdn(stack: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Functions that are told by a header."""
    monkeypatch.setenv("CLIENT_ADDRESS_HEADER", HEADER)
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


def recorded(client: Api, **headers: str) -> str | None:
    """The address that is recorded of what this client does."""
    made = client.post("/projects", {"title": "A project"}, headers=headers).json()
    [row] = execute("SELECT host(ip) AS ip FROM events WHERE subject_id = %(id)s", id=made["id"])
    address: str | None = row.ip
    return address


def test_given_no_cdn_then_it_is_the_connections_whatever_the_headers_say(stack: object) -> None:
    client = person()
    assert recorded(client, **{HEADER: "192.0.2.1", "x-forwarded-for": "192.0.2.2"}) == client.source_ip


def test_given_a_cdn_then_it_is_the_one_that_it_tells(behind_cdn: None) -> None:
    client = person()
    assert recorded(client, **{HEADER: "2001:db8::7", "x-forwarded-for": "192.0.2.2"}) == "2001:db8::7"
    assert recorded(client) is None


def test_given_a_cdn_when_one_address_tries_too_often_then_others_behind_it_still_may(behind_cdn: None) -> None:
    client = Api()  # each comes from one and the same connection

    def resets(address: str) -> int:
        body = {"email": f"{secrets.token_hex(8)}@example.com"}
        return client.post("/auth/password-reset", body, headers={HEADER: address}).status

    assert [resets("192.0.2.77") for _ in range(31)] == [202] * 30 + [429]
    assert resets("192.0.2.78") == 202
