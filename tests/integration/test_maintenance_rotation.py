"""A new signing key signs nobody out, whatever the functions have cached; what is retired goes, in time."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions.auth.refresh import _mac
from infra.local.events import schedule_event
from infra.local.invocation import invoke
from quintet import aws
from quintet.config import settings
from quintet.db.engine import engine, owner_engine
from quintet.db.session import reading
from quintet.identity import keys, tokens
from quintet.identity.keys import TokenKeys, forget_keys, secret_versions, token_keys
from tests.support.api import Api
from tests.support.people import person


@pytest.fixture(autouse=True)
def restored(stack: object) -> Iterator[None]:
    """One version of the secret before and after, as the other tests know it."""
    client, name = aws.secrets(), settings().token_secret_id
    client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    client.create_secret(Name=name, SecretString="the secret of the test of rotation")
    forget_keys()
    invoke("db_migrator", {})
    yield
    forget_keys()


def maintain(**event: Any) -> dict[str, Any]:
    """One run."""
    answer: dict[str, Any] = invoke("maintenance", {**schedule_event("maintenance"), **event})
    return answer


def age(days: float, *, key: str | None = None) -> None:
    """Let the present secret, or the registered public key, have been made so long ago."""
    made = datetime.now(UTC) - timedelta(days=days)
    if key is not None:
        with owner_engine().begin() as connection:
            connection.exec_driver_sql(
                "UPDATE signing_keys SET created_at = %(made)s WHERE kid = %(kid)s", {"made": made, "kid": key}
            )
        return
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.secretsmanager.models import secretsmanager_backends

    secret = secretsmanager_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].secrets[settings().token_secret_id]
    secret.versions[secret.default_version_id or ""]["createdate"] = int(made.timestamp())


def registered() -> set[str]:
    """The ids of the public keys that verify."""
    with owner_engine().connect() as connection:
        return set(connection.exec_driver_sql("SELECT kid FROM signing_keys").scalars())


def present() -> list[str]:
    """The ids of the keys in Secrets Manager, the present one first."""
    return [TokenKeys.derive(version.secret).kid for version in secret_versions()]


def test_given_a_secret_of_90_days_then_it_is_rotated_and_a_younger_one_is_not(stack: object) -> None:
    (before,) = present()
    age(89)
    assert maintain()["keys_rotated"] is False
    age(90)
    assert maintain()["keys_rotated"] is True
    after = present()
    assert after[0] != before == after[1]
    assert set(after) <= registered()
    assert maintain()["keys_rotated"] is False


def test_given_a_rotation_then_it_is_on_record_without_any_secret(stack: object) -> None:
    admin = person("admin")
    maintain(rotate=True)
    (event,) = admin.get("/events", query=[("type", "signing_key.rotated"), ("limit", "1")]).json()["items"]
    assert (event["scope"], event["data"], event["actor_id"]) == ("system", {"kid": present()[0]}, None)


def test_given_a_rotation_then_tokens_of_before_and_after_are_good_everywhere(stack: object) -> None:
    user = person()
    assert user.get("/users/me").status == 200
    old = token_keys()[0]
    # WHEN the operator has the key replaced at once
    assert maintain(rotate=True)["keys_rotated"] is True
    # THEN the old token is good, and one that a warm `auth` still signs with the old key
    assert user.get("/users/me").status == 200
    with reading() as session:
        assert token_keys()[0].kid == old.kid
        session_id = tokens.verify(session, user.token).session_id  # type: ignore[union-attr]
        late = tokens.issue(token_keys()[0], user_id=user.id, session_id=session_id)
        assert Api(token=late).get("/users/me").status == 200
        # THEN a token of the new key is good where the public keys were cached before the rotation
        new = token_keys(max_age=-1)[0]
        assert new.kid != old.kid
        time.sleep(1.1)  # an unknown key is looked for once a second at most
        fresh = tokens.issue(new, user_id=user.id, session_id=session_id)
        assert Api(token=fresh).get("/users/me").status == 200
    # THEN both are public
    published = {key["kid"] for key in Api().get("/.well-known/jwks.json").json()["keys"]}
    assert {old.kid, new.kid} <= published


def test_given_a_refresh_token_of_a_newer_key_than_this_auth_has_cached_then_it_is_good(api: Api) -> None:
    # GIVEN an `auth` with the keys of before the rotation, and a token that another one made with those of after
    user = api.register()
    before = token_keys()
    maintain(rotate=True)
    forget_keys()
    refreshed = user.post("/auth/refresh", {"refresh_token": user.refresh_token})
    assert refreshed.status == 200, refreshed
    keys._private = (time.monotonic() - 2, before)
    # WHEN it is sent to the former THEN it is known there, too
    again = user.post("/auth/refresh", {"refresh_token": refreshed.json()["refresh_token"]})
    assert again.status == 200, again
    # And one nobody made is not.
    forged = again.json()["refresh_token"][:-4] + "AAAA"
    assert user.post("/auth/refresh", {"refresh_token": forged}).status == 401


def test_given_two_rotations_then_the_first_key_stays_until_its_last_token_has_expired(stack: object) -> None:
    first = present()[0]
    age(100, key=first)
    maintain(rotate=True)
    maintain(rotate=True)
    # THEN a key that was made long ago and retired just now still verifies
    assert first not in present()
    assert first in registered()
    # WHEN a day has passed THEN it goes, and the present and the previous one stay
    age(1.1)
    assert maintain()["keys_removed"] >= 1
    assert first not in registered()
    assert set(present()) <= registered()


def test_given_a_rotation_that_fails_then_the_old_key_goes_on_and_nothing_is_on_record(
    stack: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, before, known = person("admin"), present(), registered()
    rotations = [("type", "signing_key.rotated"), ("limit", "100")]
    recorded = admin.get("/events", query=rotations).json()["items"]

    def refuse(**_: Any) -> None:
        raise ConnectionError("no answer")

    monkeypatch.setattr(aws.secrets(), "put_secret_value", refuse)
    with pytest.raises(RuntimeError, match="keys_rotated"):
        maintain(rotate=True)
    monkeypatch.undo()
    assert present() == before
    assert admin.get("/events", query=rotations).json()["items"] == recorded
    # THEN the public half that nothing was signed with goes after a day
    (orphan,) = registered() - known
    age(2)
    age(2, key=orphan)
    assert maintain()["keys_removed"] >= 1
    assert orphan not in registered()


def test_given_two_runs_at_once_then_the_key_is_rotated_once(stack: object) -> None:
    (before,) = present()
    age(91)
    answers: list[bool] = []
    barrier = threading.Barrier(2)

    def run() -> None:
        barrier.wait()
        answers.append(maintain()["keys_rotated"])

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False, True]
    assert present()[1] == before


def test_given_a_database_restored_without_the_present_key_then_maintenance_registers_it(stack: object) -> None:
    with owner_engine().begin() as connection:
        connection.exec_driver_sql("DELETE FROM signing_keys")
    maintain()
    assert set(present()) <= registered()


def test_given_a_leaked_secret_when_revoked_then_what_it_signed_is_dead_at_once_whatever_is_cached(api: Api) -> None:
    user = api.register()
    assert user.get("/users/me").status == 200
    leaked, public = token_keys(), keys._public
    # WHEN it is revoked
    assert maintain(revoke=True)["sessions_revoked"] >= 1
    # THEN not even functions and an `auth` with the old keys cached take its tokens
    keys._private, keys._public = (time.monotonic(), leaked), public
    assert user.get("/users/me").status == 401
    refused = user.post("/auth/refresh", {"refresh_token": user.refresh_token})
    assert (refused.status, refused.json()["detail"]) == (401, "The session has ended. Sign in again.")


def test_given_a_leaked_secret_when_revoked_then_nothing_new_can_be_signed_with_it(api: Api) -> None:
    user = api.register()
    (leaked,), before = token_keys(), present()
    maintain(revoke=True)
    # THEN neither label of the secret, and no public key, is of before
    assert registered() == set(present())
    assert registered().isdisjoint(before)
    assert {key["kid"] for key in Api().get("/.well-known/jwks.json").json()["keys"]} == registered()
    # THEN a sign-in is good, in all it gives
    again = api.sign_in(user.user["email"])
    refreshed = again.post("/auth/refresh", {"refresh_token": again.refresh_token})
    assert refreshed.status == 200
    # WHEN whoever has the secret signs tokens of that new session
    with reading() as session:
        says = tokens.verify(session, again.token)
    assert says
    forged = tokens.issue(leaked, user_id=says.user_id, session_id=says.session_id)
    assert Api(token=forged).get("/users/me").status == 401
    token = f"{says.session_id.hex}.1.{_mac(leaked.refresh, says.session_id, 1)}"
    assert again.post("/auth/refresh", {"refresh_token": token}).status == 401
    # THEN they are refused, and the session goes on
    assert again.get("/users/me").status == 200


def test_given_a_revocation_then_it_is_on_record_and_a_second_one_works_too(api: Api) -> None:
    for _ in range(2):
        user = person("admin")
        ended = maintain(revoke=True)["sessions_revoked"]
        admin = person("admin")
        assert user.get("/users/me").status == 401
        events = admin.get("/events", query=[("type", "signing_key.revoked"), ("limit", "1")]).json()["items"]
        assert [event["data"] for event in events] == [{"kid": present()[0], "sessions_ended": ended}]


def test_given_the_application_then_it_cannot_enrol_a_key(stack: object) -> None:
    from sqlalchemy.exc import ProgrammingError

    for statement in ("INSERT INTO signing_keys VALUES ('x', '{}')", "DELETE FROM signing_keys"):
        with engine().connect() as connection, pytest.raises(ProgrammingError, match="permission denied"):
            connection.exec_driver_sql(statement)
