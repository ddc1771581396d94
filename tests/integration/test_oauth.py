"""Sign-in by GitHub and Google: who gets in, as whom, and what is worth nothing."""

import re
import time
from concurrent.futures import ThreadPoolExecutor
from html import escape
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from functions.auth.oauth import people
from infra.local.events import Response
from infra.local.invocation import call
from quintet.config import settings
from quintet.db.engine import engine
from quintet.db.models.accounts import User
from quintet.db.models.sessions import OAuthIdentity
from quintet.db.session import writing
from quintet.identity.one_time_tokens import LIFETIMES, mint
from quintet.identity.sessions import end_sessions
from tests.support import provider as providers
from tests.support.api import PASSWORD, Api, events_about
from tests.support.expect import logged, problem
from tests.support.people import person
from tests.support.provider import CLIENT_ID, CLIENT_SECRET, Account, Browser, Provider, answer, configure
from tests.support.statements import counted, execute

FRONT_END = "https://app.example.com/welcome?from=login"
BOTH = pytest.mark.parametrize("at", ["github", "google"])


@pytest.fixture(autouse=True)
def provider(stack: object) -> Provider:
    """The providers, behaving well."""
    made = providers.provider()
    made.behaviours.clear()
    made.claims.clear()
    made.requests.clear()
    return made


def me(answered: Response) -> dict[str, Any]:
    """Whose access token this is."""
    read: dict[str, Any] = Api(token=answered.json()["access_token"]).get("/users/me").json()
    return read


def refusals() -> int:
    """How many attempts were recorded that came to nothing."""
    count: int = execute("SELECT count(*) AS n FROM events WHERE type = 'session.refused'")[0].n
    return count


def state_of_things() -> tuple[int, ...]:
    """What a failed attempt leaves alone."""
    tables = ("users", "oauth_identities", "user_roles")
    counts = [execute(f"SELECT count(*) AS n FROM {table}")[0].n for table in tables]
    return (*counts, execute("SELECT count(*) AS n FROM sessions WHERE revoked_at IS NULL")[0].n)


def last_refusal() -> dict[str, Any]:
    """What was recorded last of an attempt that came to nothing."""
    data: dict[str, Any] = execute("SELECT data FROM events WHERE type = 'session.refused' ORDER BY id DESC LIMIT 1")[
        0
    ].data
    return data


# --- there ---


@BOTH
@pytest.mark.parametrize("prefix", ["/api/v1", "/api", ""])
def test_given_any_prefix_when_somebody_signs_in_then_they_are_sent_with_pkce_and_one_registered_address(
    at: str, prefix: str
) -> None:
    browser = Browser().begin(at, prefix)
    asked = browser.asked
    assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
    assert asked["redirect_uri"] == f"https://localhost/api/v1/login/callback/{at}"
    assert (asked["code_challenge_method"], len(asked["code_challenge"])) == ("S256", 43)
    assert asked["scope"] == {"github": "read:user user:email", "google": "openid email profile"}[at]
    assert ("nonce" in asked) == (at == "google")
    # AND whatever they are sent with works once more under the prefix they came from
    assert browser.come_back(Account(), prefix).status == 200


def test_given_https_then_the_cookie_is_for_this_host_alone_and_comes_with_a_link_from_elsewhere() -> None:
    providers.provider()
    sent = Api().get("/login", query=[("provider", "github")])
    cookie = sent.header("set-cookie") or ""
    assert cookie.startswith("__Host-oauth=")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax", "Max-Age=600"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def test_given_an_address_with_a_stage_then_the_provider_sends_people_back_there() -> None:
    domain = "abc123.execute-api.eu-west-1.amazonaws.com"
    sent = call("GET", "/login", query=[("provider", "github")], domain=domain, stage="prod", source_ip="10.9.9.9")
    asked = providers.asked_of(sent.header("location") or "")
    assert asked["redirect_uri"] == f"https://{domain}/prod/api/v1/login/callback/github"


def test_given_a_cdn_before_the_api_then_the_provider_sends_people_back_to_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PUBLIC_HOST_HEADER", "x-viewer-host")
    settings.cache_clear()
    try:
        browser, name = Browser(), {"x-viewer-host": "api.example.com"}
        browser.asked = providers.asked_of(
            browser.get("/login", {"provider": "github"}, **name).header("location") or ""
        )
        assert browser.asked["redirect_uri"] == "https://api.example.com/api/v1/login/callback/github"
        back = browser.accept(Account())["query"]
        assert browser.get("/login/callback/github", back, **name).status == 200
        own = {"cookie": browser.cookie(), "origin": "https://api.example.com", **name}
        assert browser.api.post("/auth/refresh", headers=own).status == 200
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    # AND without one nobody can say so
    sent = Api().get("/login", query=[("provider", "github")], headers={"x-viewer-host": "evil.example.com"})
    assert (
        providers.asked_of(sent.header("location") or "")["redirect_uri"]
        == "https://localhost/api/v1/login/callback/github"
    )


def test_given_two_tabs_of_a_browser_when_both_come_back_then_both_are_signed_in() -> None:
    browser = Browser()
    first = browser.begin("github").asked
    browser.begin("google")
    assert browser.come_back(Account()).status == 200
    browser.at, browser.asked = "github", first
    assert browser.come_back(Account()).status == 200


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example.com/",
        "https://app.example.com.evil.com/",
        "https://app.example.com@evil.com/",
        "https://app.example.com\\@evil.com/",
        "https://app.example.com:444/",
        "http://app.example.com/",
        "//app.example.com/",
        "/welcome",
        "javascript:alert(1)//https://app.example.com",
        "https://app.example.com\t/",
        "https://APP.example.com/",
        "",
    ],
)
def test_given_an_address_of_no_front_end_when_it_is_to_be_returned_to_then_it_is_refused(elsewhere: str) -> None:
    answered = Api().get("/login", query=[("provider", "github"), ("return_to", elsewhere)])
    assert problem(answered, 400)["errors"][0]["pointer"] == "query/return_to"


def test_given_a_provider_that_is_none_then_it_is_refused() -> None:
    assert problem(Api().get("/login", query=[("provider", "myspace")]), 400)
    assert problem(Api().get("/login"), 400)
    assert problem(Browser().back(at="myspace", code="c", state="s"), 400)


@pytest.mark.parametrize(
    ("path", "query", "wrong"),
    [
        ("/login", {"provider": "myspace"}, b" provider: "),
        ("/login", {}, b" provider: "),
        ("/login", {"provider": "github", "return_to": "https://evil.example.com/"}, b" return_to: "),
        ("/login", {"provider": "github", "returnto evil": FRONT_END}, b"`return_to`"),
        ("/login/callback/myspace", {"code": "c", "state": "s"}, b" provider: "),
    ],
)
def test_given_a_wrong_link_when_a_browser_follows_it_then_a_page_says_what_is_wrong(
    path: str, query: dict[str, str], wrong: bytes
) -> None:
    page = Api().get(path, query=list(query.items()), headers=providers.BROWSER)
    assert (page.status, page.header("content-type")) == (400, "text/html; charset=utf-8")
    assert b"This did not work" in page.body
    assert wrong in page.body
    assert b"evil" not in page.body


def test_given_a_provider_nobody_set_up_then_it_is_not_found_and_a_browser_is_told_so(provider: Provider) -> None:
    configure({"github": provider.settings()["github"]})
    try:
        assert (
            "Google is not set up here" in problem(Api().get("/login", query=[("provider", "google")]), 404)["detail"]
        )
        page = Api().get("/login", query=[("provider", "google")], headers=providers.BROWSER)
        assert (page.status, page.header("content-type")) == (404, "text/html; charset=utf-8")
        assert b"Google is not set up here" in page.body
    finally:
        configure(provider.settings())


# --- and back again: somebody new ---


@BOTH
def test_given_somebody_new_when_they_come_back_then_they_have_an_account_whose_address_is_verified(at: str) -> None:
    account = Account()
    browser = Browser().begin(at)
    answered = browser.come_back(account)
    assert answered.status == 200
    assert answered.json().keys() >= {"access_token", "token_type", "expires_in"}
    user = me(answered)
    assert (user["email"], user["email_verified"], user["full_name"]) == (account.email, True, "Grace Hopper")
    assert user["roles"] == ["user"]
    assert [type for type, _ in events_about(user["id"])] == ["account.registered", "account.email_verified"]
    # AND the refresh token is in its cookie
    refreshed = browser.api.post("/auth/refresh", headers={"cookie": browser.cookie()})
    assert refreshed.status == 200
    # AND there is no password to sign in with
    assert problem(Api().post("/auth/login", {"email": account.email, "password": PASSWORD}), 401)


@BOTH
def test_given_a_known_identity_when_it_comes_back_then_it_is_the_same_account_whatever_its_address_is(at: str) -> None:
    account = Account()
    first = me(Browser().begin(at).come_back(account))
    moved = Account(subject=account.subject, verified=False)
    again = Browser().begin(at).come_back(moved)
    assert me(again)["id"] == first["id"]
    [started] = execute(
        "SELECT data FROM events WHERE type = 'session.started' AND scope = %(scope)s ORDER BY id DESC LIMIT 1",
        scope=f"user:{first['id']}",
    )
    assert started.data == {"user_id": first["id"], "provider": at}


def test_given_a_front_end_to_return_to_then_the_browser_is_sent_there_with_nothing_but_the_cookie() -> None:
    browser = Browser().begin("google", return_to=FRONT_END)
    answered = browser.come_back(Account(), html=True)
    assert (answered.status, answered.header("location"), answered.body) == (303, FRONT_END, b"")
    refreshed = browser.api.post(
        "/auth/refresh", headers={"cookie": browser.cookie(), "origin": "https://app.example.com"}
    )
    assert refreshed.status == 200


@pytest.mark.parametrize(
    ("name", "expected"),
    [(None, "grace"), ("", "grace"), ("x" * 300, "x" * 100), ("a\x00b\u202e", "ab"), ("   ", None)],
)
def test_given_a_name_that_is_none_then_the_account_has_one_all_the_same(
    name: str | None, expected: str | None
) -> None:
    account = Account(name=name)
    assert me(Browser().begin("github").come_back(account))["full_name"] == (expected or account.email.split("@")[0])


def test_given_two_that_come_back_at_once_with_one_new_identity_then_there_is_one_account() -> None:
    for _ in range(5):
        account = Account()
        browsers = [Browser().begin("github") for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda browser: browser.come_back(account), browsers))  # noqa: B023
        assert [answered.status for answered in answers] == [200] * 6
        assert len({me(answered)["id"] for answered in answers}) == 1


# --- and back again: an account with the same address ---


@BOTH
def test_given_a_verified_account_when_the_provider_verifies_its_address_then_it_is_linked_and_told(at: str) -> None:
    owner = person()
    answered = Browser().begin(at).come_back(Account(email=owner.user["email"].upper()))
    assert me(answered)["id"] == str(owner.id)
    assert ("account.identity_linked", {"provider": at}) in events_about(owner.id)
    # AND its password and sessions are as they were
    assert owner.get("/users/me").status == 200
    assert owner.sign_in(owner.user["email"]).token


@BOTH
def test_given_an_unverified_account_when_its_address_owner_comes_then_its_maker_has_nothing_left(at: str) -> None:
    # GIVEN somebody who registered with an address of somebody else, and left ways to get in
    account = Account()
    maker = Api().register(account.email)
    own = Account()
    execute(
        "INSERT INTO oauth_identities (user_id, provider, subject) VALUES (%(id)s, 'github', %(subject)s)",
        id=maker.id,
        subject=str(own.subject),
    )
    execute(
        "INSERT INTO webhooks (owner_id, url, secret) VALUES (%(id)s, 'https://example.com/', 'secret')", id=maker.id
    )
    execute("INSERT INTO integrations (user_id, service, status) VALUES (%(id)s, 'github', 'pending')", id=maker.id)
    maker.post("/auth/email-verification")
    linking = Browser(maker)
    asked = linking.keep(maker.post("/auth/identities", {"provider": "github"})).json()["authorization_url"]
    linking.at, linking.asked = "github", providers.asked_of(asked)
    # WHEN the address's owner signs in
    answered = Browser().begin(at).come_back(account)
    # THEN it is the same account, now verified, and none of those ways is left
    user = me(answered)
    assert (user["id"], user["email_verified"]) == (str(maker.id), True)
    assert problem(maker.get("/users/me"), 401)
    assert problem(Api().post("/auth/refresh", {"refresh_token": maker.refresh_token}), 401)
    assert problem(Api().post("/auth/login", {"email": account.email, "password": PASSWORD}), 401)
    assert problem(linking.come_back(Account()), 400)
    identities = Api(token=answered.json()["access_token"]).get("/auth/identities").json()["items"]
    assert [(i["provider"], i["email"]) for i in identities] == [(at, account.email)]
    for theirs in ("webhooks WHERE owner_id", "integrations WHERE user_id"):
        assert execute(f"SELECT 1 FROM {theirs} = %(id)s", id=maker.id) == []
    assert me(Browser().begin("github").come_back(own))["id"] != str(maker.id)
    claimed = dict(events_about(maker.id))["account.claimed"]
    assert claimed == {"provider": at, "sessions_ended": 1}


def test_given_an_account_moved_to_an_address_when_its_owner_sets_a_password_then_its_maker_has_nothing_left() -> None:
    # GIVEN somebody who signs in by GitHub, and gives their account the address of somebody else
    own, address = Account(), Account().email
    maker = Api(token=Browser().begin("github").come_back(own).json()["access_token"])
    id = maker.patch("/users/me", {"email": address}).json()["id"]
    execute("INSERT INTO webhooks (owner_id, url, secret) VALUES (%(id)s, 'https://example.com/', 'secret')", id=id)
    # WHEN its owner, who is told that there is an account, asks for a reset
    set_password(id, address)
    # THEN it is theirs alone
    assert Api().sign_in(address).user["email_verified"] is True
    assert problem(maker.get("/users/me"), 401)
    assert me(Browser().begin("github").come_back(own))["id"] != id
    assert execute("SELECT 1 FROM webhooks WHERE owner_id = %(id)s", id=id) == []
    assert dict(events_about(id))["account.claimed"] == {"sessions_ended": 1}
    # AND from then on a reset leaves their own identities alone
    linking(Api().sign_in(address), "google").come_back(Account())
    set_password(id, address)
    [identity] = Api().sign_in(address).get("/auth/identities").json()["items"]
    assert identity["provider"] == "google"


def set_password(user_id: str, email: str) -> None:
    """By a mailed link."""
    with writing() as session:
        lifetime = LIFETIMES["password_reset"]
        token = mint(session, user_id=UUID(user_id), email=email, purpose="password_reset", lifetime=lifetime)
    assert Api().post("/auth/password-reset/confirm", {"token": token, "password": PASSWORD}).status == 204


@BOTH
def test_given_an_address_the_provider_has_not_verified_then_nobody_is_signed_in_and_nothing_linked(at: str) -> None:
    owner = person()
    for account in (Account(verified=False), Account(email=owner.user["email"], verified=False)):
        browser = Browser().begin(at)
        before = state_of_things()
        assert "no verified email" in problem(browser.come_back(account), 403)["detail"]
        assert state_of_things() == before
        assert last_refusal() == {"provider": at, "reason": "no_verified_email"}


@BOTH
def test_given_a_disabled_account_then_neither_identity_nor_address_signs_in(at: str) -> None:
    account = Account()
    user = me(Browser().begin(at).come_back(account))
    execute("UPDATE users SET status = 'disabled' WHERE id = %(id)s", id=user["id"])
    for comes in (account, Account(email=account.email)):
        browser = Browser().begin(at)
        before = state_of_things()
        assert "disabled" in problem(browser.come_back(comes), 403)["detail"]
        assert state_of_things() == before
        assert last_refusal() == {"provider": at, "reason": "disabled", "user_id": user["id"]}
    # AND who has deleted it is told how to take it back
    execute("UPDATE users SET deletion_requested_at = now() WHERE id = %(id)s", id=user["id"])
    for comes in (account, Account(email=account.email)):
        assert "takes it back" in problem(Browser().begin(at).come_back(comes), 403)["detail"]


# --- and back again: what is worth nothing ---


def mixed_up_browser() -> Response:
    """Somebody else's state, as in a link they send."""
    theirs = Browser().begin("github").accept(Account())["query"]
    return Browser().begin("github").back(**theirs)


def no_cookie() -> Response:
    theirs = Browser().begin("github").accept(Account())["query"]
    fresh = Browser()
    fresh.at = "github"
    return fresh.back(**theirs)


def mixed_up_provider() -> Response:
    browser = Browser().begin("github")
    return browser.back(at="google", **browser.accept(Account())["query"])


def forged() -> Response:
    return Browser().begin("github").come_back(Account(), state="a" * 43 + "." + "b" * 43)


def nothing_at_all() -> Response:
    return Browser().begin("github").back()


def expired() -> Response:
    browser = Browser().begin("github")
    execute("UPDATE one_time_tokens SET expires_at = now() - interval '1 s' WHERE purpose = 'oauth_state'")
    return browser.come_back(Account())


def replayed() -> Response:
    browser = Browser().begin("github")
    assert browser.come_back(Account()).status == 200
    return browser.come_back(Account())


def wrong_issuer() -> Response:
    return Browser().begin("github").come_back(Account(), iss="https://evil.example.com")


def denied() -> Response:
    browser = Browser().begin("github")
    return browser.back(state=browser.asked["state"], error="access_denied", error_description="<b>no</b>")


def provider_error() -> Response:
    browser = Browser().begin("github")
    return browser.back(state=browser.asked["state"], error="temporarily_unavailable")


def hostile_error() -> Response:
    browser = Browser().begin("github")
    return browser.back(state=browser.asked["state"], error="<script>alert(1)</script>")


def code_of_another() -> Response:
    """A code made for another authorization request: PKCE fails at the provider."""
    theirs = Browser().begin("github").accept(Account())["query"]
    return Browser().begin("github").come_back(Account(), code=theirs["code"])


@pytest.mark.parametrize(
    ("attempt", "status", "reason"),
    [
        (mixed_up_browser, 400, "mixed_up"),
        (no_cookie, 400, "mixed_up"),
        (mixed_up_provider, 400, "mixed_up"),
        (forged, 400, "mixed_up"),
        (nothing_at_all, 400, "mixed_up"),
        (expired, 400, "expired"),
        (replayed, 400, "expired"),
        (wrong_issuer, 400, "wrong_issuer"),
        (denied, 403, "denied"),
        (provider_error, 502, "temporarily_unavailable"),
        (hostile_error, 502, "no_code"),
        (code_of_another, 400, "provider_refused"),
    ],
)
def test_given_an_answer_that_is_not_good_then_it_is_a_problem_and_recorded_and_nothing_changes(
    attempt: Any, status: int, reason: str
) -> None:
    before, recorded = state_of_things(), refusals()
    answered = attempt()
    assert problem(answered, status)
    after = state_of_things()
    # replaying takes a sign-in that worked before it
    assert after == (tuple(n + 1 for n in before) if attempt is replayed else before)
    assert refusals() == recorded + 1
    assert last_refusal()["reason"] == reason
    assert not any(name.lower() == "set-cookie" for name, _ in answered.headers)


def test_given_a_state_that_was_refused_at_the_provider_then_it_does_not_work_afterwards() -> None:
    browser = Browser().begin("github")
    state = browser.asked["state"]
    assert problem(browser.back(state=state, error="access_denied"), 403)
    assert problem(browser.come_back(Account()), 400)


def test_given_a_browser_when_it_fails_then_it_gets_a_page_that_repeats_nothing_of_what_came() -> None:
    browser = Browser().begin("github")
    page = browser.back(html=True, state=browser.asked["state"], error="access_denied", error_description="<i>x</i>")
    assert (page.status, page.header("content-type")) == (403, "text/html; charset=utf-8")
    assert b"You did not allow it at GitHub." in page.body
    assert b'href="/api/v1/login?provider=github"' in page.body
    assert b"<i>" not in page.body
    assert "default-src 'none'" in (page.header("content-security-policy") or "")


def test_given_a_front_end_to_return_to_when_it_fails_then_another_try_ends_there_too(provider: Provider) -> None:
    again = f"/api/v1/login?{urlencode({'provider': 'github', 'return_to': FRONT_END})}"
    browser = Browser().begin("github", return_to=FRONT_END)
    refused = browser.back(html=True, state=browser.asked["state"], error="access_denied")
    assert f'href="{escape(again)}"' in refused.body.decode()
    provider.behaviours["/github/token"] = answer(500, b"{}")
    browser = Browser().begin("github", return_to=FRONT_END)
    assert problem(browser.come_back(Account()), 502)["next"] == {"rel": "sign-in", "href": again}


@BOTH
@pytest.mark.parametrize(
    ("paths", "behave"),
    [
        (("/github/token", "/google/token"), answer(500, b"{}")),
        (("/github/token", "/google/token"), answer(429, b"{}", retry_after="30")),
        (("/github/token", "/google/token"), answer(200, b"<html>nonsense")),
        (("/github/token", "/google/token"), answer(200, b"[]")),
        (("/github/token", "/google/token"), answer(200, b'{"access_token": 7}')),
        (("/github/token", "/google/token"), answer(200, b'{"access_token": "t", "token_type": "mac"}')),
        (("/github/token", "/google/token"), answer(200, b'{"access_token": "t", "expires_in": "soon"}')),
        (("/github/token", "/google/token"), answer(302, b"", location="https://evil.example.com/")),
        (("/user", "/google/token"), answer(200, b'{"access_token": "t", "id_token": "x.y.z", "id": "?"}')),
        (("/user", "/google/token"), answer(200, b'{"access_token": "t"}')),
        (("/user", "/certs"), answer(403, b"{}")),
        (("/user", "/certs"), answer(302, b"", location="https://evil.example.com/")),
        (("/user", "/certs"), answer(200, b'{"keys": 7}')),
        (("/user/emails", "/google/token"), answer(503, b"")),
        (("/user/emails", "/google/token"), answer(200, b'{"access_token": "t", "id_token": null}')),
        (("/user", "/google/token"), lambda handler: handler.wfile.write(b"\x00\xff\x00")),
    ],
)
def test_given_a_provider_that_fails_or_talks_nonsense_then_it_is_a_502_and_nothing_changes(
    provider: Provider, at: str, paths: tuple[str, str], behave: Any
) -> None:
    browser = Browser().begin(at)
    people._key_sets.clear()
    before = state_of_things()
    provider.behaviours[paths[at == "google"]] = behave
    answered = browser.come_back(Account())
    assert "Try again soon" in problem(answered, 502)["detail"]
    assert state_of_things() == before
    assert last_refusal() == {"provider": at, "reason": "provider_failed"}


def test_given_addresses_at_github_that_we_may_not_read_then_who_is_known_signs_in_and_nobody_else(
    provider: Provider,
) -> None:
    account = Account()
    user = me(Browser().begin("github").come_back(account))
    provider.behaviours["/user/emails"] = answer(403, b'{"message": "Resource not accessible"}')
    assert me(Browser().begin("github").come_back(account))["id"] == user["id"]
    assert "no verified email" in problem(Browser().begin("github").come_back(Account()), 403)["detail"]


def test_given_a_provider_that_is_down_then_it_is_a_502(provider: Provider) -> None:
    browser = Browser().begin("github")
    clients = provider.settings()
    clients["github"]["token_endpoint"] = "http://127.0.0.1:1/token"
    configure(clients)
    try:
        assert problem(browser.come_back(Account()), 502)
    finally:
        configure(provider.settings())


@pytest.mark.parametrize("path", ["/github/token", "/user"])
def test_given_a_provider_that_never_ends_then_nobody_reads_on(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("quintet.oauth.tokens.WHOLE_SECONDS", 0.5)

    def drip(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(80):
            handler.wfile.write(b" ")
            time.sleep(0.05)

    def pour(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(64):
            handler.wfile.write(b" " * 1024**2)

    for endless in (drip, pour):
        provider.behaviours[path] = endless
        began = time.monotonic()
        assert problem(Browser().begin("github").come_back(Account()), 502)
        assert time.monotonic() - began < 2
    provider.behaviours[path] = answer(200, b"[" * 500_000)
    assert problem(Browser().begin("github").come_back(Account()), 502)


def test_given_a_provider_that_hangs_then_nobody_waits_for_long_and_no_connection_is_held(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("quintet.oauth.tokens.TIMEOUT", (0.2, 0.3))
    held: list[int] = []

    def hang(handler: Any) -> None:
        held.append(engine().pool.checkedout())  # type: ignore[attr-defined]
        handler.rfile.read(1)

    provider.behaviours["/github/token"] = hang
    assert problem(Browser().begin("github").come_back(Account()), 502)
    assert held == [0]


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://evil.example.com"},
        {"aud": "another client"},
        {"exp": 1},
        {"nonce": "another"},
        {"nonce": None},
        {"azp": "another client"},
        {"at_hash": "AAAA"},
        {"sub": None},
        {"sub": ""},
        {"sub": "a\x00"},
        {"aud": []},
        {"aud": ["another client", CLIENT_ID]},
        {"aud": ["another client", CLIENT_ID], "azp": "another client"},
        {"iat": 2**40},
        {"exp": "soon"},
    ],
)
def test_given_an_id_token_for_something_else_then_it_signs_nobody_in(
    provider: Provider, claims: dict[str, Any]
) -> None:
    browser = Browser().begin("google")
    before = state_of_things()
    provider.claims.update(claims)
    assert problem(browser.come_back(Account()), 502)
    assert state_of_things() == before


def test_given_new_keys_of_the_provider_then_they_are_read_and_others_are_not_believed(provider: Provider) -> None:
    from joserfc.jwk import RSAKey

    old = provider.key
    assert Browser().begin("google").come_back(Account()).status == 200
    # WHEN it signs with a key of the same name that is not its own
    impostor = RSAKey.generate_key(2048, {"kid": "first", "alg": "RS256"}, auto_kid=False)
    browser = Browser().begin("google")
    provider.key = impostor
    provider.behaviours["/certs"] = answer(200, b'{"keys": []}')
    assert problem(browser.come_back(Account()), 502)
    # AND when it has another key in truth
    provider.behaviours.clear()
    time.sleep(1.1)  # they are read again once a second at most
    provider.key = RSAKey.generate_key(2048, {"kid": "second", "alg": "RS256"}, auto_kid=False)
    assert Browser().begin("google").come_back(Account()).status == 200
    provider.key = old
    people._key_sets.clear()


# --- linking and unlinking ---


def linking(user: Api, at: str, **more: str) -> Browser:
    """A browser of theirs that is on its way to a provider to link it."""
    browser = Browser(user)
    begun = browser.keep(user.post("/auth/identities", {"provider": at, **more}))
    assert begun.status == 200, begun
    browser.at, browser.asked = at, providers.asked_of(begun.json()["authorization_url"])
    return browser


@BOTH
def test_given_somebody_signed_in_when_they_link_an_identity_then_it_signs_them_in(at: str) -> None:
    user, account = person(), Account(verified=False)
    linked = linking(user, at).come_back(account)
    assert linked.status == 200
    assert linked.json()["provider"] == at
    assert me(Browser().begin(at).come_back(account))["id"] == str(user.id)
    [identity] = user.get("/auth/identities").json()["items"]
    assert (identity["id"], identity["provider"]) == (linked.json()["id"], at)
    assert ("account.identity_linked", {"provider": at}) in events_about(user.id)
    # AND once more is the same
    assert linking(user, at).come_back(account).json()["id"] == identity["id"]


def test_given_a_link_of_a_page_when_it_is_done_then_there_is_a_page_or_the_front_end() -> None:
    user = person()
    page = linking(user, "github").come_back(Account(), html=True)
    assert (page.status, b"You can sign in with GitHub now." in page.body) == (200, True)
    gone = linking(user, "google", return_to=FRONT_END).come_back(Account())
    assert (gone.status, gone.header("location")) == (303, FRONT_END)


def test_given_a_front_end_on_another_site_then_the_cookie_is_one_a_script_can_be_given() -> None:
    cookie = person().post("/auth/identities", {"provider": "github"}).header("set-cookie") or ""
    assert {"Secure", "SameSite=none", "HttpOnly"} <= set(cookie.split("; "))


def test_given_a_front_end_on_the_same_site_then_the_cookie_is_lax_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SAME_SITE_COOKIES", "true")
    settings.cache_clear()
    try:
        cookie = person().post("/auth/identities", {"provider": "github"}).header("set-cookie") or ""
    finally:
        monkeypatch.undo()
        settings.cache_clear()
    assert {"Secure", "SameSite=lax", "HttpOnly"} <= set(cookie.split("; "))


def test_given_an_identity_of_somebody_else_when_it_is_linked_then_it_is_a_conflict() -> None:
    user, account = person(), Account()
    first = me(Browser().begin("github").come_back(account))
    assert "signs in to another one here" in problem(linking(user, "github").come_back(account), 409)["detail"]
    assert me(Browser().begin("github").come_back(account))["id"] == first["id"]
    assert user.get("/auth/identities").json()["items"] == []


def test_given_a_session_that_ended_meanwhile_when_they_come_back_then_nothing_is_linked() -> None:
    user = person()
    browser = linking(user, "github")
    assert user.post("/auth/logout").status == 204
    assert problem(browser.come_back(Account()), 400)
    assert execute("SELECT 1 FROM oauth_identities WHERE user_id = %(id)s", id=user.id) == []


def test_given_sessions_that_end_while_somebody_comes_back_then_nothing_is_linked() -> None:
    user = person()
    browser = linking(user, "github")
    with ThreadPoolExecutor(1) as pool:
        with writing() as session:
            session.execute(select(User).where(User.id == user.id).with_for_update())
            end_sessions(session, user.id)
            coming = pool.submit(browser.come_back, Account())
            while not execute("SELECT 1 FROM pg_locks WHERE NOT granted"):
                time.sleep(0.02)
        assert "signed out meanwhile" in problem(coming.result(), 400)["errors"][0]["detail"]
    assert execute("SELECT 1 FROM oauth_identities WHERE user_id = %(id)s", id=user.id) == []


def test_given_a_link_begun_elsewhere_when_somebody_follows_it_then_nothing_is_linked() -> None:
    # GIVEN an address that somebody made for their own account, and sends to somebody else
    attacker = person()
    url = attacker.post("/auth/identities", {"provider": "github"}).json()["authorization_url"]
    victim = Browser().begin("github")
    victim.asked = providers.asked_of(url)
    assert problem(victim.come_back(Account()), 400)
    assert attacker.get("/auth/identities").json()["items"] == []


def test_given_identities_when_they_are_unlinked_then_the_last_way_to_sign_in_stays() -> None:
    account, other = Account(), Account()
    token = Browser().begin("github").come_back(account).json()["access_token"]
    user = Api(token=token)
    linking(user, "google").come_back(other)
    google, github = user.get("/auth/identities").json()["items"]
    assert user.delete(f"/auth/identities/{github['id']}").status == 204
    assert me(Browser().begin("google").come_back(other))["id"] == user.get("/users/me").json()["id"]
    refused = problem(user.delete(f"/auth/identities/{google['id']}"), 409)
    assert refused["next"]["href"].endswith("/auth/password-reset")
    # AND with a password it can go
    execute("UPDATE users SET password_hash = 'any' WHERE id = %(id)s", id=user.get("/users/me").json()["id"])
    assert user.delete(f"/auth/identities/{google['id']}").status == 204
    assert problem(user.delete(f"/auth/identities/{google['id']}"), 404)


@BOTH
def test_given_an_identity_that_was_unlinked_when_it_comes_with_the_accounts_address_then_it_stays_out(at: str) -> None:
    user = person()
    account = Account(email=user.user["email"])
    Browser().begin(at).come_back(account)
    [identity] = user.get("/auth/identities").json()["items"]
    assert user.delete(f"/auth/identities/{identity['id']}").status == 204
    browser = Browser().begin(at)
    before = state_of_things()
    assert "You have unlinked this account" in problem(browser.come_back(account), 403)["detail"]
    assert state_of_things() == before
    assert last_refusal() == {"provider": at, "reason": "unlinked", "user_id": str(user.id)}
    assert user.get("/auth/identities").json()["items"] == []
    assert problem(user.delete(f"/auth/identities/{identity['id']}"), 404)
    # AND another one with that address is as good as ever, and the same once it is linked again
    assert me(Browser().begin(at).come_back(Account(email=account.email)))["id"] == str(user.id)
    linked = linking(user, at).come_back(account).json()
    assert linked["id"] != identity["id"]
    assert me(Browser().begin(at).come_back(account))["id"] == str(user.id)
    assert user.get("/auth/identities").json()["items"][0]["id"] == linked["id"]


def test_given_an_identity_that_is_unlinked_while_it_comes_back_then_it_stays_out() -> None:
    user = person()
    account = Account(email=user.user["email"])
    Browser().begin("github").come_back(account)
    browser = Browser().begin("github")
    with ThreadPoolExecutor(1) as pool:
        with writing() as session:
            session.execute(select(User).where(User.id == user.id).with_for_update())
            session.execute(
                update(OAuthIdentity).where(OAuthIdentity.user_id == user.id).values(unlinked_at=func.now())
            )
            coming = pool.submit(browser.come_back, account)
            while not execute("SELECT 1 FROM pg_locks WHERE NOT granted"):
                time.sleep(0.02)
        assert "You have unlinked" in problem(coming.result(), 403)["detail"]


def test_given_an_identity_that_was_unlinked_then_it_is_of_whoever_links_it_or_of_somebody_new() -> None:
    user, other, account = person(), person(), Account()
    for _ in range(2):
        linking(user, "github").come_back(account)
        [identity] = user.get("/auth/identities").json()["items"]
        assert user.delete(f"/auth/identities/{identity['id']}").status == 204
        assert linking(other, "github").come_back(account).status == 200
        assert problem(linking(user, "github").come_back(account), 409)
        [identity] = other.get("/auth/identities").json()["items"]
        assert other.delete(f"/auth/identities/{identity['id']}").status == 204
    new = me(Browser().begin("github").come_back(account))
    assert new["email"] == account.email
    assert me(Browser().begin("github").come_back(account))["id"] == new["id"]


def test_given_one_identity_when_two_accounts_link_it_at_once_then_it_is_of_one() -> None:
    for _ in range(5):
        account, users = Account(), [person(), person()]
        browsers = [linking(user, "github") for user in users]
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda browser: browser.come_back(account).status, browsers))  # noqa: B023
        assert sorted(answers) == [200, 409]
        linked = [len(user.get("/auth/identities").json()["items"]) for user in users]
        assert linked == [int(status == 200) for status in answers]


def test_given_two_that_come_back_at_once_with_one_state_then_one_is_signed_in() -> None:
    browser, account = Browser().begin("github"), Account()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: browser.come_back(account).status, range(4)))
    assert sorted(answers) == [200, 400, 400, 400]


def test_given_two_unlinked_at_once_then_one_of_them_stays() -> None:
    user = Api(token=Browser().begin("github").come_back(Account()).json()["access_token"])
    linking(user, "google").come_back(Account())
    ids = [identity["id"] for identity in user.get("/auth/identities").json()["items"]]
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda id: user.delete(f"/auth/identities/{id}").status, ids))
    assert sorted(answers) == [204, 409]


# --- what it costs, and what nobody gets to see ---


def test_given_a_sign_in_then_few_statements_are_sent() -> None:
    account = Account()
    Browser().begin("github").come_back(account)
    browser = Browser()
    with counted() as there:
        browser.begin("github")
    assert len(there) == 2, there  # the limit, the state
    back = browser.accept(account)
    with counted() as returned:
        assert browser.api.get("/login/callback/github", **{**back, "query": list(back["query"].items())}).status == 200
    assert len(returned) == 6, returned  # the limit, the state; begin, who it is, the session, commit


def test_given_too_many_attempts_then_they_are_told_when_to_try_again() -> None:
    browser = Browser().begin("github")
    execute("UPDATE rate_counters SET hits = 1000 WHERE key LIKE 'provider_sign_in%%'")
    refused = browser.come_back(Account(), html=True)
    assert (refused.status, refused.header("content-type")) == (429, "text/html; charset=utf-8")
    assert int(refused.header("retry-after") or 0) > 0
    execute("DELETE FROM rate_counters")


def test_given_sign_ins_that_work_and_fail_then_no_log_event_or_answer_holds_a_code_a_token_or_the_secret(
    provider: Provider, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[bytes] = []
    states: set[str] = set()
    with logged() as lines:
        for at in ("github", "google"):
            browser = Browser().begin(at)
            states.add(browser.asked["state"])
            browser.come_back(Account())
            provider.behaviours[f"/{at}/token"] = answer(500, b"no")
            browser = Browser().begin(at)
            states.add(browser.asked["state"])
            said.append(browser.come_back(Account()).body)
            provider.behaviours.clear()
            browser = Browser().begin(at)
            states.add(browser.asked["state"])
            said.append(browser.come_back(Account(), code="wrong-code-of-mine").body)
    events = execute("SELECT string_agg(data::text || coalesce(scope, ''), ' ') AS all FROM events")[0].all
    stored = execute("SELECT string_agg(t::text, ' ') AS all FROM one_time_tokens t")[0].all
    everything = " ".join((str(lines), capsys.readouterr().out, events, stored, b" ".join(said).decode()))
    secret = {CLIENT_SECRET, "wrong-code-of-mine", *states, *provider.given}
    assert len(provider.given) > 6
    assert not {found for found in secret if found in everything}
    assert re.search("did not answer as it should", str(lines))
