"""Accounts as their owners and as other signed-in people see them."""

import secrets
from uuid import uuid4

import pytest

from functions.users.accounts.schemas import UserRead
from quintet.db.models.sessions import TokenPurpose
from quintet.http.schemas import Page
from quintet.identity.one_time_tokens import LIFETIMES, mint
from tests.support.api import PASSWORD, Api, events_about
from tests.support.statements import counted, execute

PREFIXES = ("/api/v1", "/api", "")


def fresh_email() -> str:
    """An address nobody has."""
    return f"{secrets.token_hex(8)}@example.com"


# --- one's own -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", PREFIXES)
def test_given_an_account_when_reading_me_then_it_is_the_documented_model_under_every_prefix(
    api: Api, prefix: str
) -> None:
    user = api.register(full_name="Ada Lovelace", username=f"ada{secrets.token_hex(4)}")
    answer = user.get(f"{prefix}/users/me")
    assert answer.status == 200
    me = UserRead.model_validate_json(answer.body, strict=True)
    assert (me.id, me.full_name, me.status, me.roles, me.divisions) == (user.id, "Ada Lovelace", "active", ["user"], [])
    assert not me.email_verified
    assert answer.json() == me.model_dump(mode="json")


def test_given_nobody_signed_in_when_reading_me_then_401(api: Api) -> None:
    assert api.get("/users/me").status == 401
    assert api.put("/users/me", {"full_name": "X"}).status == 401


def test_given_a_known_version_when_reading_then_304_until_it_changes(api: Api) -> None:
    user = api.register()
    tag = user.get("/users/me").header("etag")
    assert user.get("/users/me", headers={"if-none-match": tag}).status == 304
    assert user.patch("/users/me", {"full_name": "Other"}, headers={"if-match": tag}).status == 200
    assert user.get("/users/me", headers={"if-none-match": tag}).status == 200
    assert user.patch("/users/me", {"full_name": "Third"}, headers={"if-match": tag}).status == 412
    assert user.get("/users/me").json()["full_name"] == "Other"


@pytest.mark.parametrize("method", ["put", "patch"])
@pytest.mark.parametrize("address", ["/users/me", "/users/{id}"])
def test_given_one_field_sent_when_changing_then_the_others_stay(api: Api, method: str, address: str) -> None:
    user = api.register(username=f"u{secrets.token_hex(6)}")
    answer = getattr(user, method)(address.format(id=user.id), {"name": "New Name"})
    assert answer.status == 200
    assert answer.header("etag") == '"2"'
    unchanged = ("email", "username", "roles", "status", "email_verified", "created_at")
    assert answer.json()["full_name"] == "New Name"
    assert {k: answer.json()[k] for k in unchanged} == {k: user.user[k] for k in unchanged}
    assert answer.json() == user.get("/users/me").json()
    assert events_about(user.id)[-1] == ("account.updated", {"fields": ["full_name"]})


def test_given_what_is_there_already_when_changing_then_nothing_happens(api: Api) -> None:
    user = api.register()
    before = events_about(user.id)
    sent = {"full_name": user.user["full_name"], "email": user.user["email"], "username": None}
    assert user.put("/users/me", sent).json() == user.user
    assert user.put("/users/me", {}).status == 400
    assert events_about(user.id) == before


def test_given_a_username_when_set_to_null_then_it_is_free_again(api: Api) -> None:
    name = f"u{secrets.token_hex(6)}"
    user, other = api.register(username=name), api.register()
    assert other.patch("/users/me", {"username": name}).status == 409
    assert user.patch("/users/me", {"username": None}).json()["username"] is None
    assert other.patch("/users/me", {"username": name}).status == 200


@pytest.mark.parametrize("field", ["email", "username"])
def test_given_a_taken_address_or_name_in_other_case_when_changing_then_409_names_the_field(
    api: Api, field: str
) -> None:
    taken = {"email": fresh_email(), "username": f"u{secrets.token_hex(6)}"}
    api.register(**taken)
    user = api.register()
    answer = user.patch("/users/me", {field: taken[field].upper(), "full_name": "Not kept"})
    assert answer.status == 409
    assert answer.header("content-type") == "application/problem+json"
    assert [error["pointer"] for error in answer.json()["errors"]] == [f"/{field}"]
    assert user.get("/users/me").json() == user.user


def test_given_a_verified_address_when_it_changes_then_it_is_unverified_and_asked_for_anew(api: Api) -> None:
    user = api.register()
    verify(user)
    new = fresh_email()
    changed = user.patch("/users/me", {"email": new.upper()})
    assert changed.status == 200
    assert not changed.json()["email_verified"]
    assert events_about(user.id)[-3:] == [
        ("account.updated", {"fields": ["email"]}),
        ("account.email_changed", {}),
        ("account.email_verification_requested", {}),
    ]
    assert changed.header("ratelimit") is not None
    # and what was mailed to the address before proves nothing any more
    assert api.sign_in(new).user["email"].lower() == new


def test_given_a_token_mailed_to_the_old_address_when_the_address_changed_then_it_proves_nothing(api: Api) -> None:
    user = api.register()
    token, reset = minted(user), minted(user, "password_reset")
    assert user.patch("/users/me", {"email": fresh_email()}).status == 200
    assert api.post("/auth/email-verification/confirm", {"token": token}).status == 400
    new = {"token": reset, "password": "another good phrase 42 indeed"}
    assert api.post("/auth/password-reset/confirm", new).status == 400
    assert not user.get("/users/me").json()["email_verified"]


def test_given_a_verified_address_when_only_its_case_changes_then_it_stays_verified(api: Api) -> None:
    user = api.register()
    verify(user)
    changed = user.patch("/users/me", {"email": user.user["email"].upper().replace("EXAMPLE.COM", "example.com")})
    assert changed.status == 200
    assert changed.json()["email_verified"]
    assert changed.json()["email"] != user.user["email"]


def test_given_many_changes_of_address_when_going_on_then_429(api: Api) -> None:
    user = api.register()
    answers = [user.patch("/users/me", {"email": fresh_email()}) for _ in range(6)]
    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert int(answers[-1].header("retry-after") or 0) > 0
    assert user.patch("/users/me", {"full_name": "Still possible"}).status == 200


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "not an address"}, "/email"),
        ({"email": "a@b"}, "/email"),
        ({"email": f"{'a' * 250}@example.com"}, "/email"),
        ({"email": "a\x00b@example.com"}, "/email"),
        ({"email": "\ud800@example.com"}, "/email"),
        ({"email": None}, "/email"),
        ({"full_name": ""}, "/full_name"),
        ({"full_name": "   "}, "/full_name"),
        ({"name": "x" * 101}, "/full_name"),
        ({"full_name": "a\x00b"}, "/full_name"),
        ({"full_name": None}, "/full_name"),
        ({"full_name": 10**400}, "/full_name"),
        ({"name": "A", "full_name": "B"}, ""),
        ({"time_zone": "Europe/Atlantis"}, "/time_zone"),
        ({"time_zone": "europe/copenhagen"}, "/time_zone"),
        ({"time_zone": "../../etc/passwd"}, "/time_zone"),
        ({"time_zone": "posix/Europe/Paris"}, "/time_zone"),
        ({"time_zone": "Europe"}, "/time_zone"),
        ({"time_zone": "+01:00"}, "/time_zone"),
        ({"time_zone": ""}, "/time_zone"),
        ({"time_zone": None}, "/time_zone"),
        ({"username": "a b"}, "/username"),
        ({"username": "a@b.example"}, "/username"),
        ({"username": "\ud800\ud800\ud800"}, "/username"),
        ({"status": "asleep"}, "/status"),
        ({"roles": [1]}, "/roles/0"),
        ({"roles": {"a": 1}}, "/roles"),
        ({"password": PASSWORD}, "/password"),
        ({"id": str(uuid4())}, "/id"),
        ([], ""),
    ],
)
def test_given_bad_input_when_changing_then_400_names_the_field_and_nothing_is_written(
    api: Api, body: object, pointer: str
) -> None:
    user = api.register()
    answer = user.patch("/users/me", body)
    assert answer.status == 400, answer
    assert answer.header("content-type") == "application/problem+json"
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert user.get("/users/me").json() == user.user


@pytest.mark.parametrize("zone", ["Europe/Copenhagen", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "UTC"])
def test_given_a_time_zone_when_changing_then_it_is_kept_and_the_database_knows_it_too(api: Api, zone: str) -> None:
    user = api.register()
    assert user.user["time_zone"] == "UTC"
    changed = user.patch("/users/me", {"time_zone": zone})
    assert changed.status == 200
    assert changed.json()["time_zone"] == user.get("/users/me").json()["time_zone"] == zone
    assert execute("SELECT now() AT TIME ZONE time_zone FROM users WHERE id = %(id)s", id=user.id)


def test_given_an_international_domain_when_changing_then_its_ascii_form_is_kept(api: Api) -> None:
    local = secrets.token_hex(8)
    changed = api.register().patch("/users/me", {"email": f"{local}@Bücher.example.com"})
    assert changed.json()["email"] == f"{local}@xn--bcher-kva.example.com"


# --- of others -------------------------------------------------------------------------------------------


def test_given_a_stranger_when_touching_an_account_then_it_does_not_exist(api: Api) -> None:
    user, stranger = api.register(), api.register()
    for address in (f"/users/{user.id}", f"/users/{uuid4()}"):
        for answer in (
            stranger.get(address),
            stranger.put(address, {"full_name": "Mine"}),
            stranger.patch(address, {"roles": ["admin"]}),
            stranger.delete(address),
            stranger.delete(address, query="purge=true"),
        ):
            assert answer.status == 404
    assert user.get("/users/me").json() == user.user


def test_given_a_malformed_id_then_400(api: Api) -> None:
    assert api.register().get("/users/not-an-id").json()["errors"][0]["pointer"] == "path/user_id"


def test_given_oneself_when_naming_roles_or_status_or_deleting_then_403(api: Api) -> None:
    user = api.register()
    for answer in (
        user.patch("/users/me", {"roles": ["admin"]}),
        user.patch(f"/users/{user.id}", {"role": "viewer"}),
        user.put("/users/me", {"full_name": "X", "status": "active"}),
        user.delete(f"/users/{user.id}"),
        user.delete(f"/users/{user.id}", query="purge=true"),
    ):
        assert answer.status == 403
    assert user.get(f"/users/{user.id}").json() == user.user


def test_given_users_read_then_everybody_can_be_read_and_nobody_changed(api: Api) -> None:
    user, reader = api.register(), api.register().with_permissions("users:read")
    answer = reader.get(f"/users/{user.id}")
    assert answer.json() == user.user
    assert reader.get(f"/users/{uuid4()}").status == 404
    assert reader.patch(f"/users/{user.id}", {"full_name": "X"}).status == 403
    assert reader.delete(f"/users/{user.id}").status == 403
    assert reader.patch("/users/me", {"full_name": "Reader"}).status == 200


# --- the list --------------------------------------------------------------------------------------------


def test_given_no_permission_when_listing_then_403(api: Api) -> None:
    assert api.register().get("/users").status == 403
    assert api.get("/users").status == 401


def test_given_users_when_listing_page_by_page_then_each_comes_once_newest_first(api: Api) -> None:
    reader = api.register().with_permissions("users:read")
    mark = secrets.token_hex(6)
    made = [api.register(full_name=f"{mark} {n}").user["id"] for n in range(5)]
    seen, cursor = [], None
    while True:
        query = {"q": mark, "limit": "2", **({"cursor": cursor} if cursor else {})}
        answer = reader.get("/users", query=query.items())
        found = Page[UserRead].model_validate_json(answer.body, strict=True)
        assert len(found.items) <= 2
        seen += [str(item.id) for item in found.items]
        if (cursor := found.next_cursor) is None:
            break
    assert seen == made[::-1]


def test_given_filters_when_listing_then_only_what_matches(api: Api) -> None:
    admin = api.register().with_roles("admin")
    mark = secrets.token_hex(6)
    one = api.register(email=f"{mark}@example.com", full_name="A Person")
    two = api.register(full_name=f"{mark.upper()} Person", role="student")
    division = admin.post("/divisions", {"name": f"D {mark}"}).json()["id"]
    assert admin.put(f"/divisions/{division}/members/{one.id}").status == 204
    assert admin.delete(f"/users/{two.id}").status == 204

    def found(**query: str) -> set[str]:
        answer = admin.get("/users", query=query.items())
        assert answer.status == 200
        return {item["id"] for item in answer.json()["items"]}

    ids = {str(one.id), str(two.id)}
    assert found(q=mark) == ids
    assert found(q=mark[:8].upper()) >= ids
    assert found(q=mark[1:]) == set()  # a prefix
    assert found(q=mark, role="student") == {str(two.id)}
    assert found(q=mark, role="no_such_role") == set()
    assert found(q=mark, status="disabled") == {str(two.id)}
    assert found(q=mark, status="active") == {str(one.id)}
    assert found(division_id=division) == {str(one.id)}
    assert found(division_id=str(uuid4())) == set()


@pytest.mark.parametrize("pattern", ["%", "_", "\\", "%%%", "'", "a%b_c\\"])
def test_given_characters_of_patterns_when_searching_then_they_stand_for_themselves(api: Api, pattern: str) -> None:
    reader = api.register().with_permissions("users:read")
    mark = f"{pattern}{secrets.token_hex(6)}"
    user = api.register(full_name=mark)
    found = reader.get("/users", query={"q": mark}.items()).json()["items"]
    assert [item["id"] for item in found] == [str(user.id)]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "query/limit"),
        ("limit=101", "query/limit"),
        ("limit=99999999999999999999", "query/limit"),
        ("cursor=%00", "query/cursor"),
        ("cursor=abc", "query/cursor"),
        ("q=", "query/q"),
        ("q=a%00b", "query/q"),
        ("role=%00", "query/role"),
        ("status=asleep", "query/status"),
        ("division_id=7", "query/division_id"),
    ],
)
def test_given_a_bad_query_when_listing_then_400_names_the_parameter(api: Api, query: str, pointer: str) -> None:
    answer = api.register().with_permissions("users:read").get("/users", query=query)
    assert answer.status == 400, answer
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


# --- round trips -----------------------------------------------------------------------------------------


def test_given_a_simple_read_then_it_takes_two_statements(api: Api) -> None:
    admin = api.register().with_roles("admin")
    for path in ("/users/me", f"/users/{admin.id}", "/users", "/admin/users", "/roles", "/divisions"):
        assert admin.get(path).status == 200
        with counted() as statements:
            assert admin.get(path).status == 200
        assert len(statements) == 2, (path, statements)


def minted(user: Api, purpose: TokenPurpose = "email_verification") -> str:
    """The token that would be mailed to the address."""
    from quintet.db.session import writing

    with writing() as session:
        return mint(
            session,
            user_id=user.id,
            email=user.user["email"],
            purpose=purpose,
            lifetime=LIFETIMES[purpose],
        )


def verify(user: Api) -> None:
    """Prove the account's address."""
    assert user.post("/auth/email-verification/confirm", {"token": minted(user)}).status in (200, 204)
    assert user.get("/users/me").json()["email_verified"]
