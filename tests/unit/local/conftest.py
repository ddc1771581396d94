"""A running AWS emulator, as the local run starts it."""

from collections.abc import Iterator

import pytest

from infra.local.emulator import Emulator
from infra.local.mail import MailServer
from infra.local.state import State


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
