"""What sign-in and integrations share: states, and tokens that are got, refreshed and revoked, at a real server."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from quintet.db.session import reading
from quintet.errors import NotFound
from quintet.oauth import tokens
from quintet.oauth.authorization import Answer, AuthorizationRefused, Resumed, begin, resume
from quintet.oauth.providers import PROVIDERS, Client, client_of
from quintet.oauth.tokens import ProviderFailed, ProviderRefused, exchange, read, refresh, revoke
from tests.support import oauth_server, provider
from tests.support.people import person
from tests.support.receiving import Receiver, answering, receiving
from tests.support.statements import counted

REDIRECT_URI = "https://api.example.com/api/v1/integrations/callback/google"
BROWSER = "b" * 43
GRACE = {"sub": "7", "email": "grace@example.com", "email_verified": True, "name": "Grace"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Somebody else's OAuth server, in a process of its own."""
    with oauth_server.oauth_server() as url:
        yield url


@pytest.fixture
def client(stack: object, server: str) -> Iterator[Client]:
    """Our client there, as the secret says."""
    provider.configure(oauth_server.clients(server))
    yield client_of("google")
    provider.configure({})
    provider.provider.cache_clear()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that answers what a test says."""
    with receiving() as receiver:
        yield receiver


def at(receiver: Receiver) -> Client:
    """A client of a provider that behaves as the receiver does."""
    url = receiver.url.partition("/hook")[0]
    given = {"token_endpoint": f"{url}/token", "revocation_endpoint": f"{url}/revoke", "api": url}
    return Client(replace(PROVIDERS["google"], **given), "id", "secret")  # type: ignore[arg-type]


def agreed(client: Client, **more: Any) -> Answer:
    """What somebody comes back with whom we sent to the server, and who agreed there."""
    with reading() as session:
        url = begin(
            session,
            client,
            flow="connect",
            browser=BROWSER,
            redirect_uri=REDIRECT_URI,
            scopes=["openid", "drive.readonly"],
            **{"data": {"service": "google_docs"}, "access_type": "offline", **more},
        )
    sent = httpx2.get(url, params={**dict(parse_qsl(urlsplit(url).query)), "as": json.dumps(GRACE)})
    assert sent.status_code == 302, sent
    back = dict(parse_qsl(urlsplit(sent.headers["location"]).query))
    return Answer(back["code"], back["state"], back["iss"], back.get("error"))


def resumed(client: Client, answer: Answer, **instead: Any) -> Resumed:
    with reading() as session:
        return resume(session, client, **{"flow": "connect", "browser": BROWSER, "answer": answer, **instead})


def test_given_a_real_server_when_somebody_connects_then_tokens_are_got_used_refreshed_and_revoked(
    client: Client,
) -> None:
    user = person()
    begun = resumed(client, agreed(client, user_id=user.id))
    assert (begun.user_id, begun.data) == (user.id, {"service": "google_docs"})
    got = exchange(client, code=begun.code, redirect_uri=REDIRECT_URI, verifier=begun.verifier)
    assert got.refresh_token
    assert got.expires_at
    assert timedelta(minutes=59) < got.expires_at - datetime.now(UTC) <= timedelta(hours=1)
    assert read(client, f"{client.provider.api}/user", got.access_token)["id"] == 7
    again = refresh(client, got.refresh_token)
    assert again.access_token != got.access_token
    assert again.refresh_token not in (None, got.refresh_token)
    revoke(client, got.access_token)
    with pytest.raises(ProviderRefused):
        read(client, f"{client.provider.api}/user", "another token")
    # AND none of it shows when it is printed
    assert got.access_token not in f"{got!r} {begun!r} {client!r}"
    assert begun.code not in repr(begun)


def test_given_a_verifier_of_another_then_the_server_refuses_the_code(client: Client) -> None:
    begun = resumed(client, agreed(client))
    with pytest.raises(ProviderFailed):  # a refusal that is not in the form of RFC 6749
        exchange(client, code=begun.code, redirect_uri=REDIRECT_URI, verifier="x" * 43)


def test_given_a_state_then_it_is_good_once_for_its_flow_browser_and_provider(client: Client) -> None:
    answer = agreed(client)
    github = client_of("github")
    for wrong in ({"flow": "sign_in"}, {"browser": "c" * 43}):
        with pytest.raises(AuthorizationRefused) as refused:
            resumed(client, answer, **wrong)
        assert (refused.value.status, refused.value.reason) == (400, "mixed_up")
    with pytest.raises(AuthorizationRefused):
        resumed(github, answer)
    with counted() as statements:
        assert resumed(client, answer).code == answer.code
    assert len(statements) == 1
    with pytest.raises(AuthorizationRefused) as refused:
        resumed(client, answer)
    assert refused.value.reason == "expired"


def test_given_no_such_client_then_it_is_not_found(client: Client) -> None:
    provider.configure({"github": oauth_server.clients("https://x.example")["github"], "unheard_of": {}})
    with pytest.raises(NotFound):
        client_of("google")
    assert client_of("github").provider.title == "GitHub"


def test_given_a_refresh_token_that_is_no_longer_good_then_it_is_refused_for_good(receiver: Receiver) -> None:
    for status in (400, 200):  # GitHub answers 200
        receiver.behaviour = answering(
            status, {"content-type": "application/json"}, b'{"error": "invalid_grant", "error_description": "gone"}'
        )
        with pytest.raises(ProviderRefused) as refused:
            refresh(at(receiver), "old")
        assert refused.value.error == "invalid_grant"


def test_given_a_refresh_without_a_new_refresh_token_then_the_one_before_stays(receiver: Receiver) -> None:
    body = b'{"access_token": "new", "token_type": "Bearer", "expires_in": "3600", "scope": "repo,user"}'
    receiver.behaviour = answering(200, {"content-type": "application/json"}, body)
    got = refresh(at(receiver), "old")
    assert (got.access_token, got.refresh_token, got.scopes) == ("new", "old", ("repo", "user"))
    form = dict(parse_qsl(receiver.requests[0].body.decode()))
    assert form == {
        "grant_type": "refresh_token",
        "refresh_token": "old",
        "client_id": "id",
        "client_secret": "secret",
    }


@pytest.mark.parametrize(
    ("said", "seconds"), [("120", 120), ("", None), ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0)]
)
def test_given_too_many_requests_then_it_is_told_when_to_come_again(
    receiver: Receiver, said: str, seconds: float | None
) -> None:
    receiver.behaviour = answering(429, {"retry-after": said})
    with pytest.raises(ProviderFailed) as failed:
        refresh(at(receiver), "token")
    assert (failed.value.status, failed.value.retry_after) == (429, seconds)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_given_a_server_that_fails_then_every_call_says_so(receiver: Receiver, status: int) -> None:
    receiver.behaviour = answering(status)
    client = at(receiver)
    for call in (
        lambda: refresh(client, "t"),
        lambda: revoke(client, "t"),
        lambda: read(client, f"{client.provider.api}/user", "t"),
        lambda: exchange(client, code="c", redirect_uri=REDIRECT_URI, verifier="v" * 43),
    ):
        with pytest.raises(ProviderFailed) as failed:
            call()
        assert failed.value.status == status


def test_given_a_server_that_hangs_then_the_call_ends(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "TIMEOUT", (0.2, 0.2))
    receiver.behaviour = lambda _: receiver.ended.wait(5)
    with pytest.raises(ProviderFailed):
        refresh(at(receiver), "token")


def test_given_a_token_at_github_then_it_is_revoked_githubs_way(receiver: Receiver) -> None:
    url = receiver.url.partition("/hook")[0]
    github = replace(PROVIDERS["github"], revocation_endpoint=f"{url}/applications/{{client_id}}/token")
    revoke(Client(github, "id", "secret"), "token")
    [request] = receiver.requests
    assert (request.path, json.loads(request.body)) == ("/applications/id/token", {"access_token": "token"})
    assert request.headers["authorization"].startswith("Basic ")


def test_given_credentials_of_the_machine_then_they_are_not_what_somebodys_account_is_read_by(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login operator password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    receiver.behaviour = answering(200, {"content-type": "application/json"}, b"{}")
    client = at(receiver)
    read(client, f"{client.provider.api}/user", "token")
    read(client, f"{client.provider.api}/certs")
    assert [request.headers.get("authorization") for request in receiver.requests] == ["Bearer token", None]


def test_given_a_client_that_is_set_up_wrongly_then_the_others_work(client: Client, server: str) -> None:
    given = oauth_server.clients(server)
    provider.configure({"github": given["github"], "google": {"client_id": "alone"}})
    assert client_of("github").provider.title == "GitHub"
    with pytest.raises(TypeError):
        client_of("google")


def test_given_a_redirect_of_the_token_endpoint_then_it_is_not_followed(receiver: Receiver) -> None:
    receiver.behaviour = answering(307, {"location": f"{receiver.url}/elsewhere"})
    with pytest.raises(ProviderFailed):
        refresh(at(receiver), "token")
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b"<html>",
        b"[" * 100_000,
        b" " * 2_000_000 + b"{}",
        b'{"access_token": 5}',
        b'{"access_token": ""}',
        b'{"access_token": "two\\nlines"}',
        b'{"access_token": "abc", "expires_in": "soon"}',
        b'{"access_token": "abc", "expires_in": 1e400}',
        b'{"access_token": "abc", "expires_in": [1]}',
        b'{"access_token": "abc", "token_type": "mac"}',
    ],
)
def test_given_an_answer_that_is_no_token_then_the_provider_has_failed(receiver: Receiver, body: bytes) -> None:
    receiver.behaviour = answering(200, {"content-type": "application/json"}, body)
    with pytest.raises(ProviderFailed):
        refresh(at(receiver), "token")


def test_given_a_token_with_parts_that_make_no_sense_then_they_are_left_out(receiver: Receiver) -> None:
    body = b'{"access_token": "abc", "refresh_token": {"a": 1}, "scope": ["repo"]}'
    receiver.behaviour = answering(200, {"content-type": "application/json"}, body)
    got = refresh(at(receiver), "the one before")
    assert (got.access_token, got.scopes) == ("abc", ())
