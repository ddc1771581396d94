"""A database that misbehaves: what a request's sender sees of it."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import event

from infra.local.events import Response
from quintet.db.engine import engine, owner_engine
from tests.support.api import PASSWORD, Api
from tests.support.expect import problem
from tests.support.scratch import terminate


def _terminate_all() -> int:
    """Cut every connection of the application; how many there were."""
    with owner_engine().begin() as connection:
        cut = connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'quintet_app'"
        )
        return len(cut.all())


def _count(table: str) -> int:
    with owner_engine().connect() as connection:
        return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


def test_given_a_commit_that_the_database_refuses_then_an_error_and_not_201(
    scratch_function: Callable[..., Response],
) -> None:
    problem(scratch_function("POST", "/scratch/deferred"), 409)
    assert _count("scratch_children") == 0


def test_given_a_connection_that_dies_before_the_commit_then_an_error_and_the_next_request_works(
    scratch_function: Callable[..., Response], owner: Api
) -> None:
    problem(scratch_function("POST", "/scratch/killed"), 503)
    assert _count("scratch_parents") == 0
    assert owner.get("/projects").status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_given_pooled_connections_that_died_when_a_request_comes_then_it_does_not_notice(
    owner: Api, method: str
) -> None:
    assert owner.get("/projects").status == 200
    assert _terminate_all() >= 1
    answer = owner.request(method, "/projects", json_body={"title": "x"} if method == "POST" else None)
    assert answer.status == {"GET": 200, "POST": 201}[method], answer


def test_given_pooled_connections_that_died_when_somebody_signs_in_then_they_do_not_notice(owner: Api) -> None:
    credentials = {"email": owner.user["email"], "password": PASSWORD}
    assert owner.post("/auth/login", credentials).status == 200
    assert _terminate_all() >= 1
    assert owner.post("/auth/login", credentials).status == 200
    assert _terminate_all() >= 1
    assert owner.get("/.well-known/jwks.json").status == 200


def test_given_a_connection_that_dies_unnoticed_when_a_request_comes_then_its_first_statement_is_tried_again(
    owner: Api,
) -> None:
    cut: list[int] = []

    def die(connection: Any) -> None:
        cut.append(connection.info.backend_pid)
        terminate(cut[-1])

    for method, status in (("GET", 200), ("POST", 201)):
        event.listen(engine(), "checkout", lambda connection, *_: die(connection), once=True)
        answer = owner.request(method, "/projects", json_body={"title": "x"} if method == "POST" else None)
        assert answer.status == status, answer
    assert len(set(cut)) == 2


def test_given_a_row_that_stays_locked_when_it_is_to_be_changed_then_an_error_in_time(owner: Api, project: str) -> None:
    with engine().begin() as connection:
        connection.exec_driver_sql("SELECT FROM projects WHERE id = %(id)s FOR UPDATE", {"id": project[10:]})
        answer = owner.patch(project, {"title": "x"})
    problem(answer, 503)
    assert int(answer.header("retry-after") or 0) > 0
    assert owner.patch(project, {"title": "x"}).status == 200
