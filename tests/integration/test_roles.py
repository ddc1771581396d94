"""Roles: who sees, makes, changes and removes them, and what that does to those who hold them."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from functions.users.roles.schemas import RoleRead
from quintet.db.engine import owner_engine
from quintet.http.schemas import Page
from quintet.identity.permissions import Permission
from tests.support.api import Api, events_about


@pytest.fixture
def admin(api: Api) -> Api:
    """An administrator."""
    return api.register().with_roles("admin")


def name() -> str:
    """A name no role has."""
    return f"r{secrets.token_hex(8)}"


def made(admin: Api, *permissions: str, **more: Any) -> dict[str, Any]:
    """A new role."""
    answer = admin.post("/roles", {"name": name(), "permissions": list(permissions), **more})
    assert answer.status == 201, answer
    return dict(answer.json())


def listed(reader: Api, prefix: str = "") -> dict[str, RoleRead]:
    """Every role, by name, however many other tests have made by now."""
    found: dict[str, RoleRead] = {}
    query: str | None = "limit=100"
    while query:
        page = Page[RoleRead].model_validate_json(reader.get(f"{prefix}/roles", query=query).body, strict=True)
        found |= {role.name: role for role in page.items}
        query = page.next_cursor and f"limit=100&cursor={page.next_cursor}"
    return found


@pytest.mark.parametrize("prefix", ["/api/v1", "/api", ""])
def test_given_anybody_signed_in_when_listing_then_the_seeded_roles_are_there(api: Api, prefix: str) -> None:
    user = api.register(role="viewer")
    roles = listed(user, prefix)
    seeded = {"admin", "developer", "project_admin", "instructor", "user", "solo_entrepreneur", "team_collaborator"}
    assert roles.keys() >= seeded | {"viewer", "student"}
    assert roles["admin"].permissions == ["*"]
    assert not roles["admin"].self_assignable
    one = user.get(f"{prefix}/roles/{roles['user'].id}")
    assert RoleRead.model_validate_json(one.body, strict=True) == roles["user"]
    assert user.get(f"/roles/{roles['user'].id}", headers={"if-none-match": one.header("etag")}).status == 304
    assert user.get(f"/roles/{uuid4()}").status == 404
    assert api.get("/roles").status == 401


def test_given_an_admin_when_making_a_role_then_it_permits_what_it_says(admin: Api, api: Api) -> None:
    role = name()
    sent = {"name": role, "description": "Reads", "permissions": ["users:read", "events:read_all", "users:read"]}
    answer = admin.post("/roles", sent)
    assert answer.status == 201
    read = RoleRead.model_validate_json(answer.body, strict=True)
    assert (read.name, read.permissions, read.self_assignable) == (role, ["events:read_all", "users:read"], False)
    assert admin.get(answer.header("location") or "").body == answer.body
    assert events_about(read.id) == [("role.created", {"name": role, "permissions": ["events:read_all", "users:read"]})]
    assert api.register().with_roles(role).get("/users").status == 200


def test_given_every_permission_there_is_when_making_a_role_then_each_is_known(admin: Api) -> None:
    every = [permission.value for permission in Permission]
    assert made(admin, *every)["permissions"] == sorted(every)
    assert made(admin, "*")["permissions"] == ["*"]


def test_given_a_role_when_changed_then_it_counts_at_once_for_who_holds_it(admin: Api, api: Api) -> None:
    role = made(admin)
    user = api.register().with_roles(role["name"])
    assert user.get("/users").status == 403
    changed = admin.patch(f"/roles/{role['id']}", {"permissions": ["users:read"]}, headers={"if-match": '"1"'})
    assert changed.status == 200
    assert changed.json() == {**role, "permissions": ["users:read"], "version": 2} | {
        "updated_at": changed.json()["updated_at"]
    }
    assert changed.body == admin.get(f"/roles/{role['id']}").body
    assert user.get("/users").status == 200
    assert admin.put(f"/roles/{role['id']}", {"permissions": []}).status == 200
    assert user.get("/users").status == 403
    assert [type for type, _ in events_about(role["id"])] == ["role.created", "role.updated", "role.updated"]


def test_given_a_role_when_renamed_then_who_holds_it_shows_the_new_name_and_a_new_version(admin: Api, api: Api) -> None:
    role, new = made(admin), name()
    user, stranger = api.register().with_roles(role["name"]), api.register()
    mine, theirs = user.get("/users/me").header("etag"), stranger.get("/users/me").header("etag")
    assert admin.patch(f"/roles/{role['id']}", {"name": new}).status == 200
    answer = user.get("/users/me", headers={"if-none-match": mine})
    assert (answer.status, answer.json()["roles"]) == (200, [new])
    assert stranger.get("/users/me", headers={"if-none-match": theirs}).status == 304


def test_given_nothing_new_when_changing_then_nothing_happens_and_an_old_version_is_412(admin: Api) -> None:
    role = made(admin, "users:read")
    path = f"/roles/{role['id']}"
    assert admin.put(path, {"name": role["name"], "permissions": ["users:read", "users:read"]}).json() == role
    assert admin.patch(path, {"description": "New"}).json()["version"] == 2
    assert admin.patch(path, {"description": "Newer"}, headers={"if-match": '"1"'}).status == 412
    assert admin.delete(path, headers={"if-match": '"1"'}).status == 412
    assert admin.delete(path, headers={"if-match": '"2"'}).status == 204


def test_given_the_role_admin_when_changing_or_removing_then_409(admin: Api) -> None:
    path = f"/roles/{listed(admin)['admin'].id}"
    before = admin.get(path).body
    for answer in (
        admin.patch(path, {"permissions": []}),
        admin.put(path, {"name": name()}),
        admin.patch(path, {"self_assignable": True}),
        admin.delete(path),
    ):
        assert answer.status == 409
    assert admin.get(path).body == before


def test_given_the_role_of_newcomers_then_it_keeps_its_name_and_stays(admin: Api) -> None:
    path = f"/roles/{listed(admin)['user'].id}"
    assert admin.patch(path, {"name": name()}).status == 409
    assert admin.delete(path).status == 409
    before = admin.get(path).json()["description"]
    assert admin.patch(path, {"description": "Described anew"}).status == 200
    assert admin.patch(path, {"description": before}).status == 200


def test_given_a_role_somebody_holds_when_removing_then_409_says_where_to_look(admin: Api, api: Api) -> None:
    role = made(admin)
    user = api.register().with_roles(role["name"])
    refused = admin.delete(f"/roles/{role['id']}")
    assert refused.status == 409
    following = refused.json()["next"]["href"]
    path, _, query = following.partition("?")
    assert [found["id"] for found in admin.get(path, query=query).json()["items"]] == [str(user.id)]
    assert admin.patch(f"/users/{user.id}", {"role": "user"}).status == 200
    assert admin.delete(f"/roles/{role['id']}").status == 204
    assert admin.get(f"/roles/{role['id']}").status == 404
    assert events_about(role["id"])[-1] == ("role.removed", {"name": role["name"]})


def test_given_a_role_being_given_when_removing_it_then_it_waits_and_gets_409(admin: Api, api: Api) -> None:
    role, user = made(admin), api.register()
    with ThreadPoolExecutor(1) as pool:
        with owner_engine().begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO user_roles (user_id, role_id) VALUES (%(user)s, %(role)s)",
                {"user": user.id, "role": role["id"]},
            )
            removing = pool.submit(admin.delete, f"/roles/{role['id']}")
            with pytest.raises(TimeoutError):
                removing.result(0.5)
        assert removing.result(10).status == 409
    assert role["name"] in user.get("/users/me").json()["roles"]


def test_given_a_taken_name_when_making_or_renaming_then_409_names_the_field(admin: Api) -> None:
    one, two = made(admin), made(admin)
    for answer in (
        admin.post("/roles", {"name": one["name"]}),
        admin.patch(f"/roles/{two['id']}", {"name": one["name"]}),
    ):
        assert answer.status == 409
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/name"]
    assert admin.get(f"/roles/{two['id']}").json() == two


def test_given_no_permission_when_writing_then_403(admin: Api, api: Api) -> None:
    role, user = made(admin), api.register()
    path = f"/roles/{role['id']}"
    for answer in (
        user.post("/roles", {"name": name()}),
        user.put(path, {"description": "X"}),
        user.patch(path, {"description": "X"}),
        user.delete(path),
    ):
        assert answer.status == 403
    assert admin.get(path).json() == role


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"permissions": ["users:read", "everything"]}, "/permissions/1"),
        ({"permissions": ["\x00"]}, "/permissions/0"),
        ({"permissions": ["\ud800"]}, "/permissions/0"),
        ({"permissions": "*"}, "/permissions"),
        ({"permissions": ["*"] * 101}, "/permissions"),
        ({"permissions": None}, "/permissions"),
        ({"name": ""}, "/name"),
        ({"name": "Capital"}, "/name"),
        ({"name": "a b"}, "/name"),
        ({"name": "a" * 51}, "/name"),
        ({"name": "a\x00"}, "/name"),
        ({"description": "x" * 1001}, "/description"),
        ({"description": "a\x00b"}, "/description"),
        ({"self_assignable": 10**30}, "/self_assignable"),
        ({"id": str(uuid4())}, "/id"),
    ],
)
def test_given_bad_input_when_making_or_changing_then_400_names_the_field(
    admin: Api, wrong: dict[str, Any], pointer: str
) -> None:
    role = made(admin)
    for answer in (
        admin.post("/roles", {"name": name(), **wrong}),
        admin.patch(f"/roles/{role['id']}", wrong),
    ):
        assert answer.status == 400, answer
        assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    assert admin.get(f"/roles/{role['id']}").json() == role
