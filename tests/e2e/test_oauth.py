"""Sign-in through the running stand, with somebody else's OAuth server as GitHub and as Google."""

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest

from tests.e2e.stand import Stand, given_url
from tests.support import oauth_server

BROWSER = "text/html,application/xhtml+xml,*/*;q=0.8"
FRONT_END = "http://localhost:3000/welcome"


@pytest.fixture(scope="module")
def oauth_stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A stand that is told of the server as an operator tells it."""
    with oauth_server.oauth_server() as url:
        clients = json.dumps(oauth_server.clients(url))
        stand = Stand(tmp_path_factory.mktemp("oauth"), url=given_url(), environment={"OAUTH_CLIENTS": clients})
        stand.own()
        try:
            stand.start()
            yield stand
        finally:
            stand.close()


def account(**more: Any) -> dict[str, Any]:
    """Somebody's account at the provider."""
    sub = str(secrets.randbelow(10**9))
    return {"sub": sub, "email": f"{secrets.token_hex(6)}@example.com", "email_verified": True, "name": "Ada", **more}


def sent(at: str, client: httpx2.Client, prefix: str, **query: str) -> str:
    """Begin to sign in; the address at the provider the browser is sent to."""
    answer = client.get(f"{prefix}/login", params={"provider": at, **query})
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def agree(url: str, person: dict[str, Any] | None) -> str:
    """At the provider, as this person, who may say no; where the browser is sent back to."""
    said = {"as": json.dumps(person)} if person else {"deny": "1"}
    answer = httpx2.get(httpx2.URL(url).copy_merge_params(said), timeout=30)
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


@pytest.fixture
def browser(oauth_stand: Stand) -> Iterator[Callable[[], httpx2.Client]]:
    """Makes browsers: each keeps its cookies, and goes where it is told only when a test says so."""
    made: list[httpx2.Client] = []

    def make() -> httpx2.Client:
        made.append(oauth_stand.client(headers={"accept": "application/json"}))
        return made[-1]

    oauth_stand.own()
    oauth_stand.forgive()
    yield make
    for client in made:
        client.close()


@pytest.mark.parametrize("at", ["github", "google"])
@pytest.mark.parametrize("prefix", ["/api/v1", "/api", ""])
def test_given_a_real_server_when_somebody_signs_in_then_they_are_signed_in_every_time(
    browser: Callable[[], httpx2.Client], oauth_stand: Stand, at: str, prefix: str
) -> None:
    person, ids = account(), set()
    for _ in range(2):
        client = browser()
        back = agree(sent(at, client, prefix), person)
        assert back.startswith(f"{oauth_stand.url}/api/v1/login/callback/{at}?code=")
        answer = client.get(back)
        assert answer.status_code == 200, answer.text
        assert "__Host-refresh=" in answer.headers["set-cookie"]
        user = client.get("/users/me", headers={"authorization": f"Bearer {answer.json()['access_token']}"}).json()
        assert (user["email"], user["email_verified"], user["full_name"]) == (person["email"], True, "Ada")
        ids.add(user["id"])
    assert len(ids) == 1
    # AND they are welcome
    assert oauth_stand.wait_for_mail(person["email"]).subject == "Welcome to Quintet"


def test_given_a_front_end_then_the_browser_ends_there(browser: Callable[[], httpx2.Client]) -> None:
    client = browser()
    answer = client.get(agree(sent("google", client, "/api/v1", return_to=FRONT_END), account()))
    assert (answer.status_code, answer.headers["location"]) == (303, FRONT_END)
    assert "__Host-refresh=" in answer.headers["set-cookie"]
    refused = client.get("/login", params={"provider": "google", "return_to": "https://evil.example.com/"})
    assert refused.status_code == 400


def test_given_somebody_who_says_no_or_comes_again_or_from_elsewhere_then_a_page_says_so(
    browser: Callable[[], httpx2.Client],
) -> None:
    client = browser()
    page = client.get(agree(sent("github", client, ""), None), headers={"accept": BROWSER})
    assert (page.status_code, page.headers["content-type"]) == (403, "text/html; charset=utf-8")
    assert "You did not allow it at GitHub." in page.text
    back = agree(sent("github", client, ""), account())
    assert client.get(back).status_code == 200
    again = client.get(back)
    assert (again.status_code, again.headers["content-type"]) == (400, "application/problem+json")
    stolen = agree(sent("github", client, ""), account())
    assert browser().get(stolen).status_code == 400


def test_given_somebody_signed_in_when_they_link_both_then_either_signs_them_in_until_it_is_unlinked(
    browser: Callable[[], httpx2.Client], oauth_stand: Stand
) -> None:
    client, github, google = browser(), account(), account(email_verified=False)
    signed = client.get(agree(sent("github", client, "/api/v1"), github)).json()
    client.headers["authorization"] = f"Bearer {signed['access_token']}"
    begun = client.post("/auth/identities", json={"provider": "google"})
    assert begun.status_code == 200, begun.text
    linked = client.get(agree(begun.json()["authorization_url"], google))
    assert (linked.status_code, linked.json()["provider"]) == (200, "google")
    other = browser()
    tokens = other.get(agree(sent("google", other, ""), google)).json()
    theirs = other.get("/users/me", headers={"authorization": f"Bearer {tokens['access_token']}"}).json()
    assert theirs["email"] == github["email"]
    assert "Google" in oauth_stand.wait_for_mail(github["email"], subject="sign in with Google").text
    assert client.delete(f"/auth/identities/{linked.json()['id']}").status_code == 204
    assert other.get(agree(sent("google", other, ""), google)).status_code == 403
    [last] = client.get("/auth/identities").json()["items"]
    assert client.delete(f"/auth/identities/{last['id']}").status_code == 409
    # AND of all that nothing is in the log
    log = oauth_stand.output()
    assert not {word for word in (signed["access_token"], "code=", "state=", "what the server was told") if word in log}
