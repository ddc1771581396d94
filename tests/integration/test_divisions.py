"""Divisions and who belongs to them."""

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from functions.users.divisions.schemas import DivisionMemberRead, DivisionRead
from quintet.http.schemas import Page
from tests.support.api import Api, events_about
from tests.support.statements import counted


@pytest.fixture
def keeper(api: Api) -> Api:
    """Somebody who may do with divisions what there is to do, and nothing else."""
    return api.register().with_permissions("divisions:write")


def name() -> str:
    """A name no division has."""
    return f"Division {secrets.token_hex(8)}"


def made(keeper: Api) -> dict[str, Any]:
    """A new division."""
    answer = keeper.post("/divisions", {"name": name()})
    assert answer.status == 201, answer
    return dict(answer.json())


@pytest.mark.parametrize("prefix", ["/api/v1", "/api", ""])
def test_given_a_division_when_anybody_signed_in_reads_then_it_is_there(api: Api, keeper: Api, prefix: str) -> None:
    given, user = name(), api.register()
    answer = keeper.post(f"{prefix}/divisions", {"name": f"  {given} "})
    division = DivisionRead.model_validate_json(answer.body, strict=True)
    assert division.name == given
    assert events_about(division.id) == [("division.created", {})]
    one = user.get(f"{prefix}/divisions/{division.id}")
    assert one.body == answer.body == keeper.get(answer.header("location") or "").body
    assert user.get(f"/divisions/{division.id}", headers={"if-none-match": one.header("etag")}).status == 304
    listed = Page[DivisionRead].model_validate_json(user.get(f"{prefix}/divisions", query="limit=1").body, strict=True)
    assert listed.items == [division]
    assert user.get(f"/divisions/{uuid4()}").status == 404
    assert api.get("/divisions").status == 401


@pytest.mark.parametrize("method", ["put", "patch"])
def test_given_a_division_when_renamed_then_its_members_show_it(api: Api, keeper: Api, method: str) -> None:
    division, new, user = made(keeper), name(), api.register()
    path = f"/divisions/{division['id']}"
    assert keeper.put(f"{path}/members/{user.id}").status == 204
    tag = user.get("/users/me").header("etag")
    changed = getattr(keeper, method)(path, {"name": new}, headers={"if-match": '"1"'})
    assert changed.status == 200
    assert changed.body == user.get(path).body
    mine = user.get("/users/me", headers={"if-none-match": tag})
    assert mine.json()["divisions"] == [{"id": division["id"], "name": new}]
    assert keeper.patch(path, {"name": name()}, headers={"if-match": '"1"'}).status == 412
    assert keeper.patch(path, {"name": new}).json()["version"] == 2  # nothing new, nothing happens
    assert [type for type, _ in events_about(division["id"])][-1] == "division.updated"


def test_given_a_taken_name_in_other_case_when_making_or_renaming_then_409_names_the_field(keeper: Api) -> None:
    one, two = made(keeper), made(keeper)
    for answer in (
        keeper.post("/divisions", {"name": one["name"].upper()}),
        keeper.patch(f"/divisions/{two['id']}", {"name": one["name"].upper()}),
    ):
        assert answer.status == 409
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/name"]
    with ThreadPoolExecutor(4) as pool:
        raced = name()
        answers = pool.map(lambda _: keeper.post("/divisions", {"name": raced}).status, range(4))
        assert sorted(answers) == [201, 409, 409, 409]


def test_given_members_when_added_and_removed_then_accounts_and_lists_show_it_once(api: Api, keeper: Api) -> None:
    division, user = made(keeper), api.register(username=f"u{secrets.token_hex(6)}")
    path = f"/divisions/{division['id']}/members"
    for _ in range(2):  # repeatable
        assert keeper.put(f"{path}/{user.id}").status == 204
    listed = Page[DivisionMemberRead].model_validate_json(user.get(path).body, strict=True)
    assert [(m.id, m.full_name, m.username) for m in listed.items] == [
        (user.id, user.user["full_name"], user.user["username"])
    ]
    me = user.get("/users/me")
    assert me.json()["divisions"] == [{"id": division["id"], "name": division["name"]}]
    assert me.header("etag") == '"2"'

    assert keeper.delete(f"{path}/{user.id}").status == 204
    assert keeper.delete(f"{path}/{user.id}").status == 404
    assert user.get("/users/me").json()["divisions"] == []
    assert events_about(division["id"])[1:] == [
        ("division.member_added", {"user_id": str(user.id)}),
        ("division.member_removed", {"user_id": str(user.id)}),
    ]


def test_given_many_members_when_listing_page_by_page_then_each_comes_once(api: Api, keeper: Api) -> None:
    division = made(keeper)
    users = [api.register() for _ in range(3)]
    for user in users:
        assert keeper.put(f"/divisions/{division['id']}/members/{user.id}").status == 204
    first = users[0].get(f"/divisions/{division['id']}/members", query="limit=2").json()
    second = users[0].get(f"/divisions/{division['id']}/members", query=f"cursor={first['next_cursor']}").json()
    assert [m["id"] for m in first["items"] + second["items"]] == [str(user.id) for user in users[::-1]]
    assert second["next_cursor"] is None


def test_given_who_may_not_see_the_members_then_403_and_without_such_a_division_404(api: Api, keeper: Api) -> None:
    division, user = made(keeper), api.register()
    path = f"/divisions/{division['id']}/members"
    assert user.get(path).status == 403
    assert api.register().with_permissions("users:read").get(path).json() == {"items": [], "next_cursor": None}
    assert user.get(f"/divisions/{uuid4()}/members").status == 404


def test_given_no_permission_when_writing_then_403(api: Api, keeper: Api) -> None:
    division, user = made(keeper), api.register()
    path = f"/divisions/{division['id']}"
    for answer in (
        user.post("/divisions", {"name": name()}),
        user.put(path, {"name": name()}),
        user.patch(path, {"name": name()}),
        user.delete(path),
        user.put(f"{path}/members/{user.id}"),
        user.delete(f"{path}/members/{user.id}"),
    ):
        assert answer.status == 403
    assert user.get(path).json() == division
    assert user.get("/users/me").json()["divisions"] == []


def test_given_no_such_division_or_account_when_writing_then_404(api: Api, keeper: Api) -> None:
    division, user = made(keeper), api.register()
    for answer in (
        keeper.put(f"/divisions/{uuid4()}", {"name": name()}),
        keeper.delete(f"/divisions/{uuid4()}"),
        keeper.put(f"/divisions/{uuid4()}/members/{user.id}"),
        keeper.put(f"/divisions/{division['id']}/members/{uuid4()}"),
        keeper.delete(f"/divisions/{division['id']}/members/{uuid4()}"),
    ):
        assert answer.status == 404
    assert keeper.put(f"/divisions/{division['id']}/members/7").status == 400


def test_given_a_division_when_removed_then_its_members_belong_to_it_no_more(api: Api, keeper: Api) -> None:
    division, user = made(keeper), api.register()
    path = f"/divisions/{division['id']}"
    assert keeper.put(f"{path}/members/{user.id}").status == 204
    tag = user.get("/users/me").header("etag")
    assert keeper.delete(path, headers={"if-match": '"7"'}).status == 412
    assert keeper.delete(path).status == 204
    assert keeper.delete(path).status == 404
    assert user.get("/users/me", headers={"if-none-match": tag}).json()["divisions"] == []
    assert events_about(division["id"])[-1] == ("division.removed", {})


@pytest.mark.parametrize("wrong", ["", "   ", "x" * 101, "a\x00b", "\ud800", None, 7, [], {"a": 1}])
def test_given_a_bad_name_when_making_or_changing_then_400_names_the_field(keeper: Api, wrong: object) -> None:
    division = made(keeper)
    for answer in (
        keeper.post("/divisions", {"name": wrong}),
        keeper.patch(f"/divisions/{division['id']}", {"name": wrong}),
    ):
        assert answer.status == 400
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/name"]
    assert keeper.get(f"/divisions/{division['id']}").json() == division


def test_given_a_rename_while_members_come_and_go_then_nothing_deadlocks(api: Api, keeper: Api) -> None:
    divisions = [made(keeper) for _ in range(2)]
    users = [api.register() for _ in range(4)]
    for division in divisions:
        for user in users[:3]:
            assert keeper.put(f"/divisions/{division['id']}/members/{user.id}").status == 204

    def work(n: int) -> int:
        path = f"/divisions/{divisions[n % 2]['id']}"
        match n % 4:
            case 0 | 1:
                return keeper.patch(path, {"name": name()}).status
            case 2:
                return keeper.put(f"{path}/members/{users[3].id}").status
            case _:
                return users[n % 3].patch("/users/me", {"full_name": f"Name {n}"}).status

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(work, range(48))) <= {200, 204}


def test_given_a_membership_then_it_takes_few_statements(api: Api, keeper: Api) -> None:
    division, user = made(keeper), api.register()
    path = f"/divisions/{division['id']}"
    assert keeper.put(f"{path}/members/{keeper.id}").status == 204
    with counted() as statements:
        assert keeper.put(f"{path}/members/{user.id}").status == 204
    assert len(statements) <= 8, statements  # BEGIN, identity, both locks, insert, touch, event, COMMIT
    with counted() as statements:
        assert keeper.get(f"{path}/members").status == 200
    assert len(statements) <= 3, statements
