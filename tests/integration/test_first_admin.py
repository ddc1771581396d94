"""`make admin`: how a stand gets its first administrator."""

import re
import secrets
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.local.admin import make_admin
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
