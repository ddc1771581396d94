"""A whole stand, as `make run` starts it; or, with BASE_URL set, whatever is deployed there."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.stand import Stand, given_url


@pytest.fixture(scope="package")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """The stand that tests share. One that kills it starts it again, or takes `new_stand`."""
    stand = Stand(tmp_path_factory.mktemp("stand"), url=given_url())
    try:
        stand.start()
        yield stand
    finally:
        stand.close()


@pytest.fixture(scope="package")
def deployed(stand: Stand) -> dict[str, str]:
    """What the functions of a deployed stand are told, and how AWS is reached there: `make rehearse` has one."""
    if not stand.given or (environment := stand.running().environment)["ENVIRONMENT"] == "local":
        pytest.skip("needs what `make rehearse` deploys")
    return environment


@pytest.fixture
def client(stand: Stand) -> Iterator[httpx2.Client]:
    """An HTTP client of the shared stand."""
    with stand.client() as client:
        yield client


@pytest.fixture
def email() -> str:
    """An address nobody else has."""
    return f"{secrets.token_hex(6)}@example.com"


@pytest.fixture
def person(stand: Stand, email: str) -> Iterator[httpx2.Client]:
    """A signed-in client of the shared stand, whose address is `email`."""
    with stand.sign_up(email) as client:
        yield client


@pytest.fixture
def new_stand(tmp_path: Path) -> Iterator[Callable[..., Stand]]:
    """Makes stands of a test's own, not started yet; they are stopped at its end."""
    if given_url():
        pytest.skip("needs a stand of its own, and BASE_URL names one")
    made: list[Stand] = []

    def make(**options: object) -> Stand:
        made.append(Stand(tmp_path / f"stand-{len(made)}", **options))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for stand in made:
        stand.close()
