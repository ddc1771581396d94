"""What stands in for AWS's managed services on one machine: mailbox, AWS emulator, PostgreSQL."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from infra.local import feedback
from infra.local.database import given
from infra.local.emulator import Emulator
from infra.local.mail import MailServer
from infra.local.postgres import Postgres
from infra.local.state import State


@dataclass(frozen=True, slots=True)
class Services:
    """Where they are, and those that may end by themselves."""

    endpoint: str
    """The AWS emulator's."""
    owner_url: str
    app_url: str
    parts: Mapping[str, Emulator | Postgres]


@contextmanager
def services(
    state: State, *, lambda_python: str = "", feedback_queue: str = feedback.QUEUE, database_url: str = ""
) -> Iterator[Services]:
    """All three, on one state folder, until the context ends. `database_url` names another PostgreSQL to use.

    `lambda_python` is for an emulator that is deployed to; `feedback_queue` is where it is told of bounces.
    """
    with ExitStack() as stack:
        emulator = Emulator(state)
        arrived = partial(feedback.send, emulator.port, feedback_queue)
        mail = MailServer(state.path / "mail", state.port("mail"), arrived=arrived)
        mail.start()
        stack.callback(mail.stop)
        emulator.start(smtp_port=mail.port, lambda_python=lambda_python)  # comes up while PostgreSQL does
        stack.callback(emulator.stop)
        parts: dict[str, Emulator | Postgres] = {"the AWS emulator": emulator}
        if database_url:
            owner_url, app_url = database_url, given(database_url, state)
        else:
            postgres = Postgres(state.path / "postgres", port=state.port("postgres"))
            stack.enter_context(postgres)
            parts["PostgreSQL"] = postgres
            owner_url, app_url = postgres.owner_url, postgres.app_url
        emulator.wait()
        yield Services(emulator.endpoint, owner_url, app_url, parts)
