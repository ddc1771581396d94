"""What somebody with bad intentions tries against accounts and sessions."""

import re
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from quintet.db.session import writing
from quintet.identity import passwords
from quintet.identity.one_time_tokens import LIFETIMES, mint
from quintet.identity.passwords import hash_password, verify_password
from tests.support.api import PASSWORD, Api
from tests.support.statements import counted, execute

NEW_PASSWORD = "another good phrase 42 indeed"


def local_part() -> str:
    """A local part nobody else has."""
    return secrets.token_hex(6)


def age_rotation(user: Api) -> None:
    """Let the ten seconds of grace be over."""
    with writing() as session:
        session.connection().exec_driver_sql(
            "UPDATE sessions SET rotated_at = now() - interval '11 seconds' WHERE user_id = %(id)s", {"id": user.id}
        )


def test_given_spellings_that_the_database_takes_for_one_address_then_they_count_as_one(api: Api) -> None:
    user = api.register(f"vi{local_part()}@example.com")
    email = user.user["email"]
    for n in range(10):
        spelling = [email.upper(), f" {email} ", email][n % 3]
        api.post("/auth/login", {"email": spelling, "password": "wrong one"})
    assert api.post("/auth/login", {"email": email, "password": PASSWORD}).status == 429
    # THEN a letter that only the database folds into another opens nothing, however fresh its counter is.
    dotted = email.replace("i", "İ", 1)
    assert api.post("/auth/login", {"email": dotted, "password": PASSWORD}).status == 401


def test_given_an_international_domain_when_signing_in_as_typed_then_it_is_the_same_account(api: Api) -> None:
    email = f"{local_part()}@bücher.example"
    api.post("/auth/register", {"email": email, "password": PASSWORD, "full_name": "B"})
    assert api.post("/auth/login", {"email": email, "password": PASSWORD}).status == 200


def test_given_one_address_locked_out_when_its_owner_comes_from_another_then_they_get_in(api: Api) -> None:
    user = api.register()
    wrong = {"email": user.user["email"], "password": "wrong one"}
    assert [api.post("/auth/login", wrong).status for _ in range(11)][-1] == 429
    # THEN the attacker cannot keep the owner out, who has another address,
    assert Api().post("/auth/login", {**wrong, "password": PASSWORD}).status == 200
    # AND cannot go on from many addresses for ever.
    assert [Api().post("/auth/login", wrong).status for _ in range(50)][-1] == 429


def test_given_a_sign_out_of_the_others_by_refresh_token_then_the_token_stays_good(api: Api) -> None:
    user = api.register()
    other = api.sign_in(user.user["email"])
    assert api.post("/auth/logout", {"scope": "others", "refresh_token": user.refresh_token}).status == 204
    assert other.get("/users/me").status == 401
    age_rotation(user)
    assert api.post("/auth/refresh", {"refresh_token": user.refresh_token}).status == 200


def test_given_a_password_that_changes_during_a_sign_in_then_the_old_one_opens_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = api.register()
    verified, change = threading.Event(), threading.Event()

    def slow(password: str, stored: str | None) -> tuple[bool, str | None]:
        outcome = verify_password(password, stored)
        if threading.current_thread() is not threading.main_thread():
            verified.set()
            change.wait(10)
        return outcome

    monkeypatch.setattr("functions.auth.service.verify_password", slow)
    with ThreadPoolExecutor(1) as pool:
        signing_in = pool.submit(api.post, "/auth/login", {"email": user.user["email"], "password": PASSWORD})
        verified.wait(10)
        changed = user.post("/auth/password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD})
        change.set()
        assert changed.status == 204
        assert signing_in.result().status == 401


def test_given_a_weaker_hash_when_signing_in_then_the_present_strength_replaces_it(api: Api) -> None:
    user = api.register()
    weaker = PasswordHash([Argon2Hasher(time_cost=1, memory_cost=1024, parallelism=1)]).hash(PASSWORD)
    execute("UPDATE users SET password_hash = %(weaker)s WHERE id = %(id)s", weaker=weaker, id=user.id)
    user.sign_in(user.user["email"])
    [[stored]] = execute("SELECT password_hash FROM users WHERE id = %(id)s", id=user.id)
    assert stored != weaker
    assert verify_password(PASSWORD, stored) == (True, None)


def test_given_a_sign_in_then_it_takes_three_statements_and_no_transaction(api: Api) -> None:
    credentials = {"email": api.register().user["email"], "password": PASSWORD}
    api.post("/auth/login", credentials)  # the keys are known from here on
    with counted() as statements:
        assert api.post("/auth/login", credentials).status == 200
    # The attempt is counted, the account found, and then the session begun and recorded, at once.
    assert [re.findall(r"(?:INTO|FROM) (rate_counters|users|sessions|events)", sent) for sent in statements] == [
        ["rate_counters"],
        ["users"],
        ["sessions", "users", "events"],
    ], statements


def test_given_a_reset_link_when_the_password_is_changed_then_the_link_is_dead(api: Api) -> None:
    user = api.register()
    with writing() as session:
        lifetime = LIFETIMES["password_reset"]
        email = user.user["email"]
        token = mint(session, user_id=user.id, email=email, purpose="password_reset", lifetime=lifetime)
    user.post("/auth/password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD})
    late = api.post("/auth/password-reset/confirm", {"token": token, "password": f"{NEW_PASSWORD} again"})
    assert late.status == 400


@pytest.mark.parametrize("origin", ["http://[", "null", "https://", "", "https://app.example.com.evil.example"])
def test_given_a_strange_origin_then_the_cookie_is_refused(api: Api, origin: str) -> None:
    refused = api.post("/auth/refresh", headers={"cookie": "__Host-refresh=x", "origin": origin})
    assert refused.status == 403


def test_given_a_wrong_present_password_then_the_attempt_is_recorded(api: Api) -> None:
    user = api.register()
    user.post("/auth/password", {"current_password": "not it", "new_password": NEW_PASSWORD})
    types = {event["type"] for event in user.get("/events").json()["items"]}
    assert "account.password_refused" in types


def test_given_no_account_then_verifying_costs_one_hash_of_the_present_strength() -> None:
    assert verify_password("anything", None) == (False, None)
    assert not passwords._hasher().verify_and_update("anything", passwords._NOBODYS_HASH)[0]
    parameters = passwords._NOBODYS_HASH.split("$")[1:4]
    assert parameters == hash_password("x").split("$")[1:4]
