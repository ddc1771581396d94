"""A running AWS emulator, as the local run starts it."""

from collections.abc import Iterator

import pytest

from functions.manifest import DEAD_LETTERS, QUEUES
from infra.local.emulator import Emulator
from infra.local.environment import variables
from infra.local.mail import MailServer
from infra.local.resources import prepare
from infra.local.state import State
from quintet import aws
from quintet.config import settings


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> State:
    """A state folder of its own."""
    return State(tmp_path_factory.mktemp("stand") / "state")


@pytest.fixture(scope="session")
def mailbox(state: State) -> Iterator[MailServer]:
    """A mailbox that listens."""
    server = MailServer(state.path / "mail", 0)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def emulator(state: State, mailbox: MailServer) -> Iterator[Emulator]:
    """S3, SQS, SES and the rest; mail goes to `mailbox`."""
    emulator = Emulator(state)
    emulator.start(smtp_port=mailbox.port)
    emulator.wait()
    yield emulator
    emulator.stop()


@pytest.fixture
def resources(emulator: Emulator, state: State, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Buckets, queues and the secret made in the emulator, and this process's environment that of its functions."""
    environment = variables(owner_url="", app_url="", endpoint=emulator.endpoint, url="http://127.0.0.1:1")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    aws.forget_clients()
    prepare(state)
    for queue in QUEUES:
        for suffix in ("", DEAD_LETTERS):
            aws.sqs().purge_queue(QueueUrl=settings().queue_urls[queue] + suffix)
    yield
    monkeypatch.undo()
    settings.cache_clear()
    aws.forget_clients()
