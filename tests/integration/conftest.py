"""People and things most integration tests begin with."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from infra.local.events import Response
from quintet.db.engine import owner_engine
from tests.support.api import Api
from tests.support.people import person
from tests.support.scratch import function_of, scratch


@pytest.fixture
def user(stack: object) -> Api:
    """Somebody with an account."""
    return person()


@pytest.fixture
def owner(stack: object) -> Api:
    """Somebody who may create projects."""
    return person()


@pytest.fixture
def project(owner: Api) -> str:
    """The path of a project of theirs, in its first version."""
    return f"/projects/{owner.post('/projects', {'title': 'A project'}).json()['id']}"


@pytest.fixture(scope="module")
def scratch_function(stack: object) -> Iterator[Callable[..., Response]]:
    """A function of the test's own, and its tables."""
    with owner_engine().begin() as connection:
        connection.exec_driver_sql("CREATE TABLE scratch_parents (id int PRIMARY KEY)")
        connection.exec_driver_sql(
            "CREATE TABLE scratch_children (parent int REFERENCES scratch_parents DEFERRABLE INITIALLY DEFERRED)"
        )
    yield function_of(scratch)
    with owner_engine().begin() as connection:
        connection.exec_driver_sql("DROP TABLE scratch_children, scratch_parents")


@pytest.fixture
def failing(scratch_function: Callable[..., Response]) -> Callable[..., Response]:
    """A request that ends in an exception nobody expected."""

    def request(**parts: Any) -> Response:
        return scratch_function("GET", "/scratch/failing", **parts)

    return request
