"""Accounts and sessions through real API Gateway events."""

import base64
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest

from infra.local.events import Response
from quintet.db.models.sessions import TokenPurpose
from quintet.db.session import writing
from quintet.identity.one_time_tokens import LIFETIMES, mint
from tests.support.api import PASSWORD, Api

NEW_PASSWORD = "another good phrase 42 indeed"


def minted(user: Api, purpose: TokenPurpose, email: str = "") -> str:
    """The token that would be mailed."""
    with writing() as session:
        return mint(
            session, user_id=user.id, email=email or user.user["email"], purpose=purpose, lifetime=LIFETIMES[purpose]
        )


def cookie_of(answer: Response) -> str:
    """The refresh cookie as a browser would send it back."""
    (cookie,) = [str(value) for name, value in answer.headers if name.lower() == "set-cookie"]
    return cookie.split(";")[0]


def test_given_a_new_account_when_it_signs_in_then_the_token_opens_the_api(api: Api) -> None:
    made = api.post(
        "/api/v1/auth/register", {"email": "Ada@Example.com", "password": PASSWORD, "name": "Ada L", "role": "student"}
    )
    assert made.status == 201
    assert made.json()["full_name"] == "Ada L"
    assert made.json()["email_verified"] is False
    assert made.json()["roles"] == ["student"]
    assert made.header("location") == f"/api/v1/users/{made.json()['id']}"
    assert PASSWORD not in made.body.decode()

    signed = api.post("/api/auth/login", {"email": "ada@example.com", "password": PASSWORD})
    assert signed.status == 200
    assert "refresh_token" not in {k for k, v in signed.json().items() if v}
    header = json.loads(base64.urlsafe_b64decode(signed.json()["access_token"].split(".")[0] + "=="))
    assert header["alg"] == "Ed25519"
    me = Api(token=signed.json()["access_token"]).get("/users/me")
    assert me.status == 200
    assert me.json()["roles"] == ["student"]


def test_given_a_taken_address_when_registering_then_409_names_the_field(api: Api) -> None:
    user = api.register()
    again = api.post("/auth/register", {"email": user.user["email"].upper(), "password": PASSWORD, "full_name": "B"})
    assert again.status == 409
    assert again.json()["errors"][0]["pointer"] == "/email"


@pytest.mark.parametrize("password", ["password1", "qwertyuiop", "11111111", "short"])
def test_given_a_common_or_short_password_then_400_and_no_account(api: Api, password: str) -> None:
    new = {"email": "weak@example.com", "password": password, "full_name": "W"}
    refused = api.post("/auth/register", new)
    assert refused.status == 400
    assert refused.json()["errors"][0]["pointer"] == "/password"
    assert password not in refused.body.decode()
    assert api.post("/auth/login", {"email": new["email"], "password": password}).status == 401


def test_given_a_role_that_is_not_self_assignable_then_400(api: Api) -> None:
    new = {"email": "boss@example.com", "password": PASSWORD, "full_name": "B", "role": "admin"}
    assert api.post("/auth/register", new).status == 400


def test_given_wrong_credentials_then_the_answer_does_not_tell_why(api: Api) -> None:
    user = api.register()
    wrong = api.post("/auth/login", {"email": user.user["email"], "password": "not this one"})
    nobody = api.post("/auth/login", {"email": "nobody@example.com", "password": "not this one"})
    assert wrong.status == nobody.status == 401
    assert {**wrong.json(), "instance": ""} == {**nobody.json(), "instance": ""}


def test_given_a_sign_out_then_the_access_token_is_dead_at_once(api: Api) -> None:
    user = api.register()
    assert user.post("/api/auth/logout").status == 204
    assert user.get("/users/me").status == 401
    assert api.post("/auth/refresh", {"refresh_token": user.refresh_token}).status == 401


def test_given_several_sessions_when_ending_one_others_or_all_then_just_those_end(api: Api) -> None:
    first = api.register()
    email = first.user["email"]
    second, third = api.sign_in(email), api.sign_in(email)
    listed = first.get("/sessions").json()["items"]
    assert len(listed) == 3
    assert [s["current"] for s in listed].count(True) == 1

    current = next(s["id"] for s in second.get("/sessions").json()["items"] if s["current"])
    assert first.delete(f"/sessions/{current}").status == 204
    assert first.delete(f"/sessions/{current}").status == 404
    assert second.get("/users/me").status == 401

    assert first.post("/logout", {"scope": "others"}).status == 204
    assert third.get("/users/me").status == 401
    assert first.get("/users/me").status == 200
    assert first.post("/logout", {"scope": "all"}).status == 204
    assert first.get("/users/me").status == 401


def test_given_another_accounts_session_when_ending_it_then_404(api: Api) -> None:
    mine, theirs = api.register(), api.register()
    session_id = theirs.get("/sessions").json()["items"][0]["id"]
    assert mine.delete(f"/sessions/{session_id}").status == 404
    assert theirs.get("/users/me").status == 200


def test_given_a_refresh_token_when_rotated_then_the_retry_is_forgiven_and_the_older_one_ends_the_session(
    api: Api,
) -> None:
    user = api.register()
    first = api.post("/auth/refresh", {"refresh_token": user.refresh_token}).json()
    # A retry within ten seconds gets the same successor.
    retried = api.post("/auth/refresh", {"refresh_token": user.refresh_token}).json()
    assert retried["refresh_token"] == first["refresh_token"]
    second = api.post("/auth/refresh", {"refresh_token": first["refresh_token"]}).json()
    # WHEN the token before the last is used, THEN the session ends, for whoever has it.
    assert api.post("/auth/refresh", {"refresh_token": user.refresh_token}).status == 401
    assert api.post("/auth/refresh", {"refresh_token": second["refresh_token"]}).status == 401
    assert Api(token=second["access_token"]).get("/users/me").status == 401


def test_given_the_grace_is_over_when_a_spent_token_is_used_then_the_session_ends(api: Api) -> None:
    user = api.register()
    successor = api.post("/auth/refresh", {"refresh_token": user.refresh_token}).json()
    with writing() as session:
        session.connection().exec_driver_sql(
            "UPDATE sessions SET rotated_at = now() - interval '11 seconds' WHERE user_id = %(id)s", {"id": user.id}
        )
    assert api.post("/auth/refresh", {"refresh_token": user.refresh_token}).status == 401
    assert Api(token=successor["access_token"]).get("/users/me").status == 401


def test_given_refreshes_that_race_then_all_get_one_successor_and_the_session_lives(api: Api) -> None:
    user = api.register()
    start = threading.Barrier(8)

    def refresh(_: int) -> Response:
        start.wait()
        return api.post("/auth/refresh", {"refresh_token": user.refresh_token})

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(refresh, range(8)))
    assert [a.status for a in answers] == [200] * 8
    assert len({a.json()["refresh_token"] for a in answers}) == 1
    assert user.get("/users/me").status == 200


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "0" * 32 + ".0.", "é.1.2", "0" * 32 + ".99999999999999999999.x"])
def test_given_a_forged_refresh_token_then_401(api: Api, token: str) -> None:
    assert api.post("/auth/refresh", {"refresh_token": token}).status == 401


def test_given_the_cookie_when_refreshing_then_foreign_origins_are_refused(api: Api) -> None:
    user = api.register()
    signed = api.post("/auth/login", {"email": user.user["email"], "password": PASSWORD})
    cookie = cookie_of(signed)
    assert cookie.startswith("__Host-refresh=")
    attributes = signed.header("set-cookie") or ""
    assert all(part in attributes.lower() for part in ("secure", "httponly", "path=/", "samesite=none"))
    foreign = api.post("/auth/refresh", headers={"cookie": cookie, "origin": "https://evil.example"})
    assert foreign.status == 403
    ours = api.post("/auth/refresh", headers={"cookie": cookie, "origin": "https://app.example.com"})
    assert ours.status == 200
    assert cookie_of(ours) != cookie
    assert api.post("/logout", headers={"cookie": cookie_of(ours)}).status == 204
    assert api.post("/auth/refresh", headers={"cookie": cookie_of(ours)}).status == 401


def test_given_a_mailed_reset_token_then_it_works_once_and_every_session_ends(api: Api) -> None:
    user = api.register()
    token = minted(user, "password_reset")
    weak = api.post("/auth/password-reset/confirm", {"token": token, "password": "password1"})
    assert weak.status == 400, "a refused password does not spend the token"
    done = api.post("/auth/password-reset/confirm", {"token": token, "new_password": NEW_PASSWORD})
    assert done.status == 204
    assert user.get("/users/me").status == 401
    again = api.post("/auth/password-reset/confirm", {"token": token, "password": NEW_PASSWORD})
    assert again.status == 400
    assert again.json()["errors"][0]["pointer"] == "/token"
    assert api.sign_in(user.user["email"], NEW_PASSWORD).user["email_verified"] is True


def test_given_one_reset_token_when_two_race_then_one_wins(api: Api) -> None:
    user = api.register()
    token = minted(user, "password_reset")
    start = threading.Barrier(4)

    def confirm(n: int) -> int:
        start.wait()
        sent = {"token": token, "password": f"{NEW_PASSWORD} {n}"}
        return api.post("/auth/password-reset/confirm", sent).status

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(confirm, range(4))) == [204, 400, 400, 400]


def test_given_an_address_that_changed_when_its_old_token_is_used_then_it_proves_nothing(api: Api) -> None:
    user = api.register()
    token = minted(user, "email_verification", email="former@example.com")
    assert api.post("/auth/email-verification/confirm", {"token": token}).status == 400


def test_given_a_verification_token_then_the_address_is_proven(api: Api) -> None:
    user = api.register()
    token = minted(user, "email_verification")
    assert api.post("/auth/email-verification/confirm", {"token": token}).status == 204
    assert user.get("/users/me").json()["email_verified"] is True


@pytest.mark.parametrize("email", ["known", "nobody@example.com"])
def test_given_any_address_when_asking_for_a_reset_then_202(api: Api, email: str) -> None:
    if email == "known":
        email = api.register().user["email"]
    answer = api.post("/api/auth/password-reset", {"email": email})
    assert (answer.status, answer.body) == (202, b"")


def test_given_a_password_change_then_the_old_one_and_every_session_end(api: Api) -> None:
    user = api.register()
    wrong = user.post("/auth/password", {"current_password": "not it", "new_password": NEW_PASSWORD})
    assert wrong.json()["errors"][0]["pointer"] == "/current_password"
    right = user.post("/auth/password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD})
    assert right.status == 204
    assert user.get("/users/me").status == 401
    assert api.post("/auth/login", {"email": user.user["email"], "password": PASSWORD}).status == 401
    assert api.sign_in(user.user["email"], NEW_PASSWORD).token


def test_given_many_failed_sign_ins_then_429_says_when_to_come_back(api: Api) -> None:
    user = api.register()
    wrong = {"email": user.user["email"], "password": "wrong one"}
    answers = [api.post("/auth/login", wrong) for _ in range(11)]
    assert [a.status for a in answers[:9]] == [401] * 9
    # AND each answer, refused or not, says how many are left.
    assert [(a.header("ratelimit") or "").split(";")[1] for a in answers[:2]] == ["r=8", "r=7"]
    assert answers[-1].status == 429
    assert int(answers[-1].header("retry-after") or 0) > 0
    assert "ratelimit-policy" in {name.lower() for name, _ in answers[-1].headers}
    # THEN the right password does not help either.
    assert api.post("/auth/login", {**wrong, "password": PASSWORD}).status == 429


def test_given_sign_in_attempts_then_each_is_recorded_without_personal_data(api: Api) -> None:
    user = api.register()
    api.post("/auth/login", {"email": user.user["email"], "password": "wrong one"})
    with writing() as session:
        rows = session.connection().exec_driver_sql(
            "SELECT type, data, host(ip) AS ip FROM events WHERE scope = %(scope)s", {"scope": f"user:{user.id}"}
        )
        events = rows.mappings().all()
    assert {"account.registered", "session.started", "session.refused"} <= {e["type"] for e in events}
    assert all(e["ip"] == user.source_ip for e in events)
    assert user.user["email"] not in json.dumps([dict(e) for e in events])


def test_given_the_key_set_then_it_verifies_our_tokens(api: Api) -> None:
    user = api.register()
    answer = api.get("/.well-known/jwks.json")
    assert "public" in (answer.header("cache-control") or "")
    header = json.loads(base64.urlsafe_b64decode(user.token.split(".")[0] + "=="))
    keys = {key["kid"]: key for key in answer.json()["keys"]}
    assert header["kid"] in keys
    assert "d" not in keys[header["kid"]]


@pytest.mark.parametrize("part", [0, 1, 2])
def test_given_an_altered_access_token_then_401(api: Api, part: int) -> None:
    user = api.register()
    parts = user.token.split(".")
    parts[part] = ("A" if parts[part][5] != "A" else "B").join([parts[part][:5], parts[part][6:]])
    assert Api(token=".".join(parts)).get("/users/me").status == 401


def test_given_a_token_of_another_algorithm_or_type_then_401(api: Api) -> None:
    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    user = api.register()
    header, claims, signature = user.token.split(".")
    known = json.loads(base64.urlsafe_b64decode(header + "=="))
    for changed in ({**known, "alg": "none"}, {**known, "alg": "HS256"}, {**known, "typ": "JWT"}, {"alg": "none"}):
        for signed in (signature, ""):
            assert Api(token=f"{encoded(changed)}.{claims}.{signed}").get("/users/me").status == 401


def test_given_the_mailed_pages_then_a_person_without_a_front_end_gets_through(api: Api) -> None:
    user = api.register()
    form = {"content-type": "application/x-www-form-urlencoded"}
    token = minted(user, "email_verification")
    page = api.get("/auth/email-verification/page", query=[("token", token)])
    assert page.status == 200
    assert f'value="{token}"' in page.body.decode()
    assert "script" not in (page.header("content-security-policy") or "")
    shown = api.post("/auth/email-verification/page", body=urlencode({"token": token}).encode(), headers=form)
    assert "verified" in shown.body.decode()

    token = minted(user, "password_reset")
    sent = urlencode({"token": token, "password": "password1"}).encode()
    refused = api.post("/auth/password-reset/page", body=sent, headers=form)
    assert refused.status == 400
    assert "easily guessed" in refused.body.decode()
    sent = urlencode({"token": token, "password": NEW_PASSWORD}).encode()
    assert api.post("/auth/password-reset/page", body=sent, headers=form).status == 200
    assert api.sign_in(user.user["email"], NEW_PASSWORD).token


def test_given_hostile_markup_in_a_token_then_the_page_shows_it_as_text(api: Api) -> None:
    page = api.get("/auth/password-reset/page", query=[("token", '"><script>alert(1)</script>')])
    assert "<script>" not in page.body.decode()
