"""Administration of accounts: creating, changing, disabling, removing, and what nobody may do."""

import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest

from functions.users.accounts import service
from functions.users.accounts.schemas import UserRead, UserUpdate
from infra.local.events import Response
from quintet.db.engine import owner_engine
from quintet.db.session import writing
from quintet.identity.principal import Principal, authenticate
from tests.support.api import PASSWORD, Api, events_about
from tests.support.statements import counted


@pytest.fixture
def admin(api: Api) -> Api:
    """The only administrator there is."""
    with owner_engine().begin() as connection:
        connection.exec_driver_sql(
            "DELETE FROM user_roles USING roles WHERE roles.id = role_id AND roles.name = 'admin'"
        )
    return api.register().with_roles("admin")


@pytest.fixture
def other(api: Api, admin: Api) -> Api:
    """A second administrator."""
    return api.register().with_roles("admin")


@pytest.fixture
def manager(api: Api) -> Api:
    """Somebody who manages accounts and roles, and is no administrator."""
    return api.register().with_permissions(
        "users:read", "users:write", "roles:write", "projects:create", "campaigns:create"
    )


def address() -> str:
    """An address nobody has."""
    return f"{secrets.token_hex(8)}@example.com"


def principal(user: Api) -> Principal:
    """Who the services are told is calling."""
    with writing() as session:
        return authenticate(session, f"Bearer {user.token}")


def active_admins() -> set[UUID]:
    """The accounts that hold the role admin and may sign in."""
    with owner_engine().connect() as connection:
        return set(
            connection.exec_driver_sql(
                "SELECT u.id FROM users u JOIN user_roles ur ON ur.user_id = u.id JOIN roles r ON r.id = ur.role_id"
                " WHERE r.name = 'admin' AND u.status = 'active'"
            ).scalars()
        )


def role_with(admin: Api, *permissions: str) -> str:
    """The name of a new role."""
    made = admin.post("/roles", {"name": f"r{secrets.token_hex(8)}", "permissions": list(permissions)})
    assert made.status == 201, made
    return str(made.json()["name"])


# --- creating --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["/api/v1", "/api", ""])
def test_given_no_password_when_an_admin_creates_an_account_then_its_owner_is_invited(
    api: Api, admin: Api, prefix: str
) -> None:
    email = address()
    made = admin.post(f"{prefix}/admin/users", {"email": email, "name": "New Person", "role": "student"})
    assert made.status == 201
    user = UserRead.model_validate_json(made.body, strict=True)
    assert (user.email, user.full_name, user.roles, user.email_verified) == (email, "New Person", ["student"], False)
    assert made.header("location") == f"/api/v1/users/{user.id}"
    assert admin.get(made.header("location") or "").json() == made.json()
    assert events_about(user.id) == [("account.created", {"roles": ["student"], "invited": True})]
    assert api.post("/auth/login", {"email": email, "password": PASSWORD}).status == 401


def test_given_a_password_when_an_admin_creates_an_account_then_it_signs_in_and_has_to_verify(
    api: Api, admin: Api
) -> None:
    email = address()
    new = {"email": email, "full_name": "New Person", "password": PASSWORD, "roles": ["viewer", "developer"]}
    made = admin.post("/admin/users", new)
    assert made.status == 201
    assert PASSWORD not in made.body.decode()
    assert api.sign_in(email).user["roles"] == ["developer", "viewer"]
    assert [type for type, _ in events_about(made.json()["id"])][:2] == [
        "account.created",
        "account.email_verification_requested",
    ]


def test_given_no_role_named_when_creating_then_it_is_a_user_and_an_empty_list_gives_none(admin: Api) -> None:
    assert admin.post("/admin/users", {"email": address(), "name": "A"}).json()["roles"] == ["user"]
    assert admin.post("/admin/users", {"email": address(), "name": "A", "roles": []}).json()["roles"] == []


def test_given_a_taken_address_when_many_create_it_at_once_then_one_is_made_and_the_others_get_409(admin: Api) -> None:
    email = address()
    start = threading.Barrier(6)

    def create(n: int) -> Response:
        start.wait()
        return admin.post("/admin/users", {"email": email.upper() if n % 2 else email, "name": f"N{n}"})

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(create, range(6)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409, 409]
    refused = next(answer for answer in answers if answer.status == 409)
    assert refused.json()["errors"] == [{"pointer": "/email", "detail": "There is an account with this address."}]


def test_given_an_idempotency_key_when_creating_twice_then_one_account(admin: Api) -> None:
    new, key = {"email": address(), "name": "Once"}, {"idempotency-key": secrets.token_hex(8)}
    first, second = (admin.post("/admin/users", new, headers=key) for _ in range(2))
    assert (first.status, second.status) == (201, 201)
    assert first.json() == second.json()
    assert second.header("idempotency-replayed") == "true"


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"password": "password1"}, "/password"),
        ({"password": "short"}, "/password"),
        ({"roles": ["student", "no_such_role"]}, "/roles/1"),
        ({"role": "no_such_role"}, "/roles/0"),
        ({"roles": ["a\x00"]}, "/roles/0"),
        ({"roles": ["\ud800"]}, "/roles/0"),
        ({"roles": ["x"] * 51}, "/roles"),
        ({"roles": None}, "/roles"),
        ({"role": "user", "roles": ["student"]}, ""),
        ({"email": "nobody"}, "/email"),
        ({"full_name": 7, "name": 7}, "/full_name"),
        ({"version": 3}, "/version"),
    ],
)
def test_given_bad_input_when_creating_then_400_names_the_field_and_nothing_is_made(
    admin: Api, wrong: dict[str, object], pointer: str
) -> None:
    new = {"email": address(), **({} if "full_name" in wrong else {"name": "A"}), **wrong}
    answer = admin.post("/admin/users", new)
    assert answer.status == 400, answer
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]
    with owner_engine().connect() as connection:
        made = connection.exec_driver_sql("SELECT count(*) FROM users WHERE email = %(e)s", {"e": new["email"]})
        assert made.scalar_one() == 0


# --- the two addresses -----------------------------------------------------------------------------------


def test_given_the_admin_address_when_used_then_it_is_the_same_as_the_other(admin: Api, api: Api) -> None:
    user = api.register()
    both = [f"/users/{user.id}", f"/admin/users/{user.id}"]
    assert len({admin.get(path).body for path in both}) == 1
    assert admin.put(both[1], {"name": "By Admin"}).json() == admin.get(both[0]).json()
    assert admin.patch(both[1], {"role": "viewer"}).json()["roles"] == ["viewer"]
    query = {"q": "By Admin"}.items()
    assert admin.get("/admin/users", query=query).json() == admin.get("/users", query=query).json()
    assert admin.delete(both[1]).status == 204
    assert admin.get(both[0]).json()["status"] == "disabled"
    assert admin.delete(both[1], query="purge=true").status == 204
    assert admin.get(both[0]).status == 404


def test_given_no_permission_when_using_the_admin_address_then_403_even_for_oneself(api: Api) -> None:
    user = api.register()
    reader = api.register().with_permissions("users:read")
    own = f"/admin/users/{user.id}"
    assert api.get("/admin/users").status == 401
    for answer in (
        user.get("/admin/users"),
        user.post("/admin/users", {}),
        user.get(own),
        user.put(own, {"name": "X"}),
        user.patch(own, {"name": "X"}),
        user.delete(own),
        reader.post("/admin/users", {"email": address(), "name": "A"}),
        reader.patch(own, {"name": "X"}),
        reader.delete(own),
    ):
        assert answer.status == 403
    assert reader.get("/admin/users").status == reader.get(own).status == 200


# --- roles and status ------------------------------------------------------------------------------------


def test_given_new_roles_when_set_then_they_count_at_once_and_are_recorded(admin: Api, api: Api) -> None:
    user = api.register()
    assert user.get("/users").status == 403
    changed = admin.put(f"/users/{user.id}", {"roles": ["admin", "viewer", "viewer"]})
    assert changed.json()["roles"] == ["admin", "viewer"]
    assert changed.header("etag") == '"2"'
    assert events_about(user.id)[-1] == ("account.roles_changed", {"given": ["admin", "viewer"], "taken": ["user"]})
    assert user.get("/users").status == 200
    assert admin.patch(f"/users/{user.id}", {"role": "viewer"}).status == 200
    assert user.get("/users").status == 403
    assert admin.patch(f"/users/{user.id}", {"roles": ["viewer"]}).header("etag") == '"3"'


def test_given_an_unknown_role_when_set_then_400_and_the_profile_stays_too(admin: Api, api: Api) -> None:
    user = api.register()
    answer = admin.patch(f"/users/{user.id}", {"full_name": "Not kept", "roles": ["viewer", "nothing"]})
    assert answer.status == 400
    assert answer.json()["errors"] == [{"pointer": "/roles/1", "detail": "There is no such role."}]
    assert user.get("/users/me").json() == user.user


@pytest.mark.parametrize("way", ["delete", "patch"])
def test_given_an_account_when_disabled_then_its_sessions_end_until_it_signs_in_again_once_enabled(
    admin: Api, api: Api, way: str
) -> None:
    user = api.register()
    second = api.sign_in(user.user["email"])
    path = f"/users/{user.id}"
    for _ in range(2):  # repeatable
        assert (admin.delete(path) if way == "delete" else admin.patch(path, {"status": "disabled"})).status < 300
    assert events_about(user.id)[-1] == ("account.disabled", {"sessions_ended": 2})
    assert [type for type, _ in events_about(user.id)].count("account.disabled") == 1
    assert user.get("/users/me").status == second.get("/users/me").status == 401
    assert api.post("/auth/refresh", {"refresh_token": user.refresh_token}).status == 401
    assert api.post("/auth/login", {"email": user.user["email"], "password": PASSWORD}).status == 401

    assert admin.patch(path, {"status": "active"}).json()["status"] == "active"
    assert events_about(user.id)[-1] == ("account.enabled", {})
    assert user.get("/users/me").status == 401
    assert api.sign_in(user.user["email"]).get("/users/me").status == 200


def test_given_an_old_version_when_changing_or_deleting_then_412(admin: Api, api: Api) -> None:
    user = api.register()
    path = f"/users/{user.id}"
    assert admin.patch(path, {"name": "Newer"}, headers={"if-match": '"1"'}).status == 200
    for query in ("", "purge=true"):
        assert admin.delete(path, query=query, headers={"if-match": '"1"'}).status == 412
    assert admin.get(path).json()["status"] == "active"
    assert admin.delete(path, headers={"if-match": '"2"'}).status == 204


# --- removing --------------------------------------------------------------------------------------------


def test_given_nothing_left_when_purged_then_the_account_is_gone_and_its_address_free(admin: Api, api: Api) -> None:
    user = api.register()
    assert admin.delete(f"/users/{user.id}", query="purge=true").status == 204
    assert events_about(user.id)[-1] == ("account.removed", {})
    assert user.get("/users/me").status == 401
    assert admin.get(f"/users/{user.id}").status == 404
    assert admin.delete(f"/users/{user.id}", query="purge=true").status == 404
    assert api.register(email=user.user["email"]).id != user.id


def test_given_a_project_when_its_owner_is_purged_then_409_says_what_is_left(admin: Api, api: Api) -> None:
    user = api.register()
    for n in range(2):
        assert user.post("/projects", {"title": f"P{n}"}).status == 201
    refused = admin.delete(f"/users/{user.id}", query="purge=true")
    assert refused.status == 409
    assert "projects: 2" in refused.json()["detail"]
    assert user.get("/users/me").status == 200
    assert [type for type, _ in events_about(user.id)] == ["account.registered"]


def test_given_a_project_made_just_now_when_its_owner_is_purged_then_409_as_well(admin: Api, api: Api) -> None:
    """The check finds nothing yet; the constraint waits for the other transaction and decides."""
    user = api.register()
    with ThreadPoolExecutor(1) as pool:
        with owner_engine().begin() as connection:
            connection.exec_driver_sql("INSERT INTO projects (title, owner_id) VALUES ('P', %(id)s)", {"id": user.id})
            purging = pool.submit(admin.delete, f"/users/{user.id}", query="purge=true")
            with pytest.raises(TimeoutError):
                purging.result(0.5)
        assert purging.result(10).status == 409
    assert user.get("/users/me").status == 200


# --- nobody gives, or gets at, what they do not hold -----------------------------------------------------


@pytest.fixture
def escalations(admin: Api, manager: Api, api: Api) -> Iterator[list[Response]]:
    """Every way a manager of accounts and roles might try to become an administrator."""
    accomplice = api.register()
    more = role_with(admin, "users:read", "projects:purge")
    more_id = next(role["id"] for role in admin.get("/roles").json()["items"] if role["name"] == more)
    own_id = next(role["id"] for role in admin.get("/roles").json()["items"] if role["name"] in own_roles(manager))
    boss, me, them = f"/users/{admin.id}", f"/users/{manager.id}", f"/users/{accomplice.id}"
    before = admin.get(boss).json(), manager.get(me).json(), accomplice.get(them).json()
    attempts = [
        # give it to oneself, or to a friend
        manager.patch(me, {"roles": ["admin"]}),
        manager.patch("/users/me", {"roles": [*own_roles(manager), "admin"]}),
        manager.patch(me, {"roles": [*own_roles(manager), more]}),
        manager.patch(them, {"role": "admin"}),
        manager.patch(them, {"role": more}),
        manager.patch(f"/admin{them}", {"role": "admin"}),
        manager.post("/admin/users", {"email": address(), "name": "A", "role": "admin"}),
        manager.post("/admin/users", {"email": address(), "name": "A", "roles": ["user", more]}),
        # make a role that permits it, or have one permit it
        manager.post("/roles", {"name": f"r{secrets.token_hex(8)}", "permissions": ["*"]}),
        manager.post("/roles", {"name": f"r{secrets.token_hex(8)}", "permissions": ["users:read", "projects:purge"]}),
        manager.patch(f"/roles/{own_id}", {"permissions": ["*"]}),
        manager.patch(f"/roles/{own_id}", {"permissions": ["users:read", "events:read_all"]}),
        manager.patch(f"/roles/{more_id}", {"description": "changed"}),
        manager.patch(f"/roles/{more_id}", {"self_assignable": True}),
        manager.delete(f"/roles/{more_id}"),
        # take over, or put out of the way, an account that may do more
        manager.patch(boss, {"email": address()}),
        manager.patch(boss, {"full_name": "Changed"}),
        manager.patch(boss, {"roles": []}),
        manager.patch(boss, {"status": "disabled"}),
        manager.delete(boss),
        manager.delete(boss, query="purge=true"),
    ]
    yield attempts
    assert (admin.get(boss).json(), manager.get(me).json(), accomplice.get(them).json()) == before


def own_roles(user: Api) -> list[str]:
    """The names of the roles somebody holds."""
    return list(user.get("/users/me").json()["roles"])


def test_given_a_manager_without_everything_when_escalating_then_403_whatever_the_way(
    escalations: list[Response],
) -> None:
    assert [answer.status for answer in escalations] == [403] * len(escalations)


def test_given_a_manager_when_giving_what_they_hold_then_it_works(manager: Api, api: Api) -> None:
    user = api.register()
    mine = own_roles(manager)
    assert manager.patch(f"/users/{user.id}", {"roles": ["user", *mine]}).status == 200
    assert manager.patch(f"/users/{user.id}", {"email": address()}).status == 200
    assert manager.delete(f"/users/{user.id}").status == 204
    made = manager.post("/roles", {"name": f"r{secrets.token_hex(8)}", "permissions": ["users:read"]})
    assert made.status == 201
    assert manager.patch(f"/roles/{made.json()['id']}", {"permissions": ["users:write"]}).status == 200


def test_given_a_promotion_not_yet_committed_when_a_manager_takes_over_the_account_then_403(
    admin: Api, manager: Api, api: Api
) -> None:
    """Who waits for the account's lock judges by the roles it has then."""
    user = api.register()
    boss = principal(admin)
    with ThreadPoolExecutor(1) as pool:
        with writing() as session:
            change = UserUpdate(roles=["admin"])
            service.update_account(session, boss, user_id=user.id, change=change, expected=None)
            session.flush()
            taking = pool.submit(manager.patch, f"/users/{user.id}", {"email": address()})
            with pytest.raises(TimeoutError):
                taking.result(0.5)
        assert taking.result(10).status == 403
    assert user.get("/users/me").json()["email"] == user.user["email"]


# --- the last administrator ------------------------------------------------------------------------------

_DEMOTIONS: dict[str, Callable[[Api, UUID], Response]] = {
    "demoted": lambda who, id: who.patch(f"/users/{id}", {"roles": ["user"]}),
    "demoted to nothing": lambda who, id: who.put(f"/users/{id}", {"roles": []}),
    "disabled": lambda who, id: who.patch(f"/admin/users/{id}", {"status": "disabled"}),
    "deleted": lambda who, id: who.delete(f"/users/{id}"),
    "purged": lambda who, id: who.delete(f"/users/{id}", query="purge=true"),
}


@pytest.mark.parametrize("how", _DEMOTIONS)
def test_given_the_last_active_admin_when_it_is_to_go_then_409(admin: Api, api: Api, how: str) -> None:
    disabled = api.register().with_roles("admin")
    assert admin.delete(f"/users/{disabled.id}").status == 204
    answer = _DEMOTIONS[how](admin, admin.id)
    assert answer.status == 409
    assert answer.header("content-type") == "application/problem+json"
    assert active_admins() == {admin.id}
    assert admin.get("/admin/users").status == 200


def test_given_somebody_else_with_every_permission_when_removing_the_last_admin_then_409(admin: Api, api: Api) -> None:
    almighty = api.register().with_permissions("*")
    for demote in _DEMOTIONS.values():
        assert demote(almighty, admin.id).status == 409
    assert active_admins() == {admin.id}


@pytest.mark.parametrize("how", _DEMOTIONS)
def test_given_another_active_admin_then_one_may_go(admin: Api, other: Api, how: str) -> None:
    assert _DEMOTIONS[how](admin, admin.id).status in (200, 204)
    assert active_admins() == {other.id}


@pytest.mark.parametrize("how", _DEMOTIONS)
def test_given_one_demotion_not_yet_committed_when_the_other_admin_is_to_go_then_it_waits_and_gets_409(
    admin: Api, other: Api, how: str
) -> None:
    first, boss = admin, principal(admin)
    with ThreadPoolExecutor(1) as pool:
        with writing() as session:
            change = UserUpdate(roles=["user"])
            service.update_account(session, boss, user_id=first.id, change=change, expected=None)
            session.flush()
            second = pool.submit(_DEMOTIONS[how], other, other.id)
            with pytest.raises(TimeoutError):
                second.result(0.5)
        assert second.result(10).status == 409
    assert active_admins() == {other.id}


@pytest.mark.parametrize("round", range(5))
def test_given_several_admins_when_all_are_demoted_at_once_then_exactly_one_stays(
    admin: Api, api: Api, round: int
) -> None:
    admins = [admin, *(api.register().with_roles("admin") for _ in range(3))]
    ways = list(_DEMOTIONS.values())
    start = threading.Barrier(len(admins))

    def resign(n: int) -> Response:
        start.wait()
        return ways[(n + round) % len(ways)](admins[n], admins[n].id)

    with ThreadPoolExecutor(len(admins)) as pool:
        answers = list(pool.map(resign, range(len(admins))))
    assert sorted(answer.status < 300 for answer in answers) == [False, True, True, True]
    assert [answer.status for answer in answers if answer.status >= 300] == [409]
    assert len(active_admins()) == 1


# --- round trips -----------------------------------------------------------------------------------------


def test_given_a_change_of_one_s_profile_then_it_takes_few_statements(api: Api, admin: Api) -> None:
    user = api.register()
    user.get("/users/me")
    with counted() as statements:
        assert user.patch("/users/me", {"full_name": "Counted"}).status == 200
    assert len(statements) <= 7, statements  # BEGIN, identity, lock, change, event, the answer, COMMIT
    with counted() as statements:
        assert admin.delete(f"/users/{user.id}").status == 204
    assert len(statements) <= 8, statements  # BEGIN, identity, lock, roles, change, sessions, event, COMMIT


def test_given_an_unknown_account_then_404(admin: Api) -> None:
    for answer in (
        admin.get(f"/admin/users/{uuid4()}"),
        admin.patch(f"/admin/users/{uuid4()}", {"name": "X"}),
        admin.delete(f"/admin/users/{uuid4()}"),
        admin.delete(f"/admin/users/{uuid4()}", query="purge=true"),
    ):
        assert answer.status == 404
