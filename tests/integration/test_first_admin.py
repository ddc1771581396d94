"""How a stand on a laptop gets its first administrator (`make admin`), and how one on AWS does (`maintenance`)."""

import re
import secrets
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.local.admin import make_admin
from infra.local.invocation import invoke
from infra.local.state import LocalError
from quintet.db.session import writing
from tests.support.api import Api, events_about
from tests.support.mailroom import as_owner

PASSWORD = "another correct horse 8 battery"


def made_admin(email: str) -> str:
    with writing() as session:
        return make_admin(session, email)


def test_given_an_account_then_it_becomes_an_administrator_once_and_that_is_recorded_as_the_api_records_it(
    api: Api,
) -> None:
    # GIVEN an account of a newcomer
    person = api.register()
    version = person.user["version"]
    # WHEN it is made an administrator, whatever the case of its address, and then again
    said = [made_admin(person.user["email"].upper()), made_admin(person.user["email"])]
    # THEN it is one, with what it was before, and its version has moved on once
    assert ["now" in text for text in said] == [True, False]
    after = person.get("/users/me").json()
    assert sorted(after["roles"]) == ["admin", "user"]
    assert after["version"] == version + 1
    # AND what is recorded has the form of a change by the API
    recorded = [data for type, data in events_about(person.id) if type == "account.roles_changed"]
    assert recorded == [{"given": ["admin"], "taken": []}]
    other = api.register()
    assert person.patch(f"/users/{other.id}", {"roles": ["admin", "user"]}).status == 200
    assert ("account.roles_changed", recorded[0]) in events_about(other.id)


def test_given_nobody_then_an_account_is_made_and_the_link_sets_its_password(api: Api) -> None:
    # GIVEN an address without an account
    email = f"{secrets.token_hex(8)}@example.com"
    # WHEN
    [link] = re.findall(r"http\S+", made_admin(email))
    # THEN the link sets a password, and with it an administrator signs in
    token = parse_qs(urlsplit(link).query)["token"][0]
    assert api.post("/auth/password-reset/confirm", {"token": token, "password": PASSWORD}).status == 204
    admin = api.sign_in(email, PASSWORD)
    assert sorted(admin.user["roles"]) == ["admin", "user"]
    assert ("account.created", {"roles": ["admin", "user"], "invited": True}) in events_about(admin.id)


def test_given_a_disabled_account_then_it_is_refused(api: Api) -> None:
    person = api.register()
    as_owner("UPDATE users SET status = 'disabled' WHERE id = %(id)s RETURNING 1", id=person.id)
    with pytest.raises(LocalError, match="disabled"):
        made_admin(person.user["email"])
    assert ("account.roles_changed", {"given": ["admin"], "taken": []}) not in events_about(person.id)


def appointed(email: str) -> str:
    """What `maintenance` answers an operator."""
    answer: dict[str, str] = invoke("maintenance", {"admin": email})
    assert set(answer) == {"said"}, "it does this alone, and not the work of a day"
    return answer["said"]


def test_given_a_confirmed_account_when_an_operator_names_it_then_it_is_an_administrators_and_that_is_recorded(
    api: Api,
) -> None:
    # GIVEN a newcomer who has confirmed their address
    person = api.register()
    as_owner("UPDATE users SET email_verified_at = now() WHERE id = %(id)s RETURNING 1", id=person.id)
    version = person.user["version"]
    # WHEN it is named, whatever the case, and then again
    said = [appointed(person.user["email"].upper()), appointed(person.user["email"])]
    # THEN it is an administrator's, once
    assert ["now" in text for text in said] == [True, False]
    after = person.get("/users/me").json()
    assert (sorted(after["roles"]), after["version"]) == (["admin", "user"], version + 1)
    changes = [data for type, data in events_about(person.id) if type == "account.roles_changed"]
    assert changes == [{"given": ["admin"], "taken": []}]


@pytest.mark.parametrize(
    ("state", "reason"),
    [("email_verified_at = NULL", "not confirmed"), ("email_verified_at = now(), status = 'disabled'", "disabled")],
)
def test_given_an_account_that_proves_nobody_when_an_operator_names_it_then_it_stays_what_it_was(
    api: Api, state: str, reason: str
) -> None:
    person = api.register()
    as_owner(f"UPDATE users SET {state} WHERE id = %(id)s RETURNING 1", id=person.id)
    assert reason in appointed(person.user["email"])
    held = as_owner(
        "SELECT r.name FROM roles r JOIN user_roles u ON u.role_id = r.id WHERE u.user_id = %(id)s", id=person.id
    )
    assert [row["name"] for row in held] == ["user"]
    assert "account.roles_changed" not in [type for type, _ in events_about(person.id)]


def test_given_nobody_when_an_operator_names_them_then_no_account_is_made(api: Api) -> None:
    email = f"{secrets.token_hex(8)}@example.com"
    assert "no account" in appointed(email)
    assert as_owner("SELECT count(*) AS n FROM users WHERE email = %(email)s", email=email) == [{"n": 0}]
