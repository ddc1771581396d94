"""People and things most integration tests begin with."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, cast
from uuid import uuid4

import pytest
from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID
from sqlalchemy import QueuePool

from infra.local.events import Response
from infra.local.sockets import PATH
from infra.local.state import State
from quintet import aws
from quintet.config import settings
from quintet.db.engine import engine, owner_engine
from tests.support.api import DEPLOYED, Api
from tests.support.people import person
from tests.support.scratch import function_of, scratch
from tests.support.services import Services, serving
from tests.support.sockets import Answering, Socket, gateway, management, settle
from tests.support.statements import execute
from tests.support.uploading import forget_what_is_due


@pytest.fixture(autouse=True)
def queues_emptied(stack: object) -> Iterator[None]:
    """What a test leaves in the queues goes: moto takes longer to send to one, the more it holds."""
    yield
    if DEPLOYED:
        return
    sqs = get_backend("sqs")[DEFAULT_ACCOUNT_ID][os.environ["AWS_REGION"]]
    for queue in list(sqs.queues):
        sqs.purge_queue(queue)


@pytest.fixture(scope="module", autouse=True)
def deliveries_forgotten(stack: object) -> None:
    """What other files have left for consumers is done: tests that have everything delivered would deliver that too."""
    if not DEPLOYED:  # where others wait for theirs
        execute("UPDATE deliveries SET done_at = now() WHERE done_at IS NULL")


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


@pytest.fixture
def nothing_due(stack: object) -> None:
    """Nothing that other tests have left is for the dispatcher to send."""
    forget_what_is_due()


@pytest.fixture
def own_queues(stack: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Queues that nobody else has sent to."""
    made = {
        queue: aws.sqs().create_queue(QueueName=f"{queue}-{uuid4().hex}")["QueueUrl"] for queue in settings().queue_urls
    }
    for queue, url in made.items():
        monkeypatch.setenv(f"{queue.upper()}_QUEUE_URL", url)
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()
    for url in made.values():
        aws.sqs().delete_queue(QueueUrl=url)


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


@pytest.fixture(scope="session")
def realtime(stack: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The WebSocket API on a port, which tickets name and functions post to; its address."""
    with gateway(State(tmp_path_factory.mktemp("realtime"))) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REALTIME_ENDPOINT", f"{url}{PATH}")
        settings.cache_clear()
        aws.sockets.cache_clear()
        yield url
    settings.cache_clear()
    aws.sockets.cache_clear()


@pytest.fixture(scope="module")
def one_connection(stack: object) -> Iterator[None]:
    """To the database, as a function has it: whoever wants a second meanwhile waits in vain."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_POOL_SIZE", "1")
        _connect_anew()
        yield
    _connect_anew()


def _connect_anew() -> None:
    pool = cast(QueuePool, engine().pool)
    settle(pool.checkedout, 0)  # what the last test's gateway still says
    pool.dispose()
    engine.cache_clear()
    settings.cache_clear()


@pytest.fixture
def managed(realtime: str) -> Iterator[Callable[[Answering], None]]:
    """Has functions post to a management API of which the test says what it answers."""
    with ExitStack() as until_over:

        def manage(answering: Answering) -> None:
            url = until_over.enter_context(management(answering))
            until_over.enter_context(pytest.MonkeyPatch.context()).setenv("REALTIME_ENDPOINT", url)
            settings.cache_clear()
            aws.sockets.cache_clear()

        yield manage
    settings.cache_clear()
    aws.sockets.cache_clear()


@pytest.fixture
def connected(realtime: str) -> Iterator[Callable[[Api], Socket]]:
    """Connects people; their connections end with the test."""
    made: list[Socket] = []

    def connect(client: Api) -> Socket:
        made.append(Socket(client))
        return made[-1]

    yield connect
    for socket in made:
        socket.close()


@pytest.fixture
def services(stack: object, own_queues: None, nothing_due: None) -> Iterator[Services]:
    """The services one can connect, on this machine, and all of them well; queues that nobody else has sent to."""
    execute("DELETE FROM circuit_breakers")
    with serving() as made:
        yield made
