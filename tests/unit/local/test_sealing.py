"""What is sealed on a laptop opens after every restart, however the run before it ended."""

from uuid import uuid4

import psutil
import pytest

from infra.local.emulator import Emulator
from infra.local.environment import SEALING_KEY, variables
from infra.local.resources import prepare
from infra.local.state import State
from quintet import aws
from quintet.config import settings
from quintet.integrations.sealing import seal, unseal


def test_given_an_emulator_that_is_killed_then_what_was_sealed_before_opens_after(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = State(tmp_path_factory.mktemp("sealing") / "state")
    whose = {"integration_id": uuid4(), "user_id": uuid4()}
    sealed, keys = [], set()
    for _ in range(3):
        emulator = Emulator(state)
        emulator.start(smtp_port=1)  # where no mail server is
        try:
            emulator.wait()
            environment = variables(owner_url="", app_url="", endpoint=emulator.endpoint, url="http://127.0.0.1:1")
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            settings.cache_clear()
            aws.forget_clients()
            prepare(state)
            prepare(state)  # as at each start of the worker
            keys.add(aws.kms().describe_key(KeyId=SEALING_KEY)["KeyMetadata"]["KeyId"])
            sealed.append(seal({"api_key": "a secret"}, **whose))
            # WHEN what this run and those before it have sealed is opened
            assert [unseal(row, **whose) for row in sealed] == [{"api_key": "a secret"}] * len(sealed)
        finally:
            _kill(emulator)
    # THEN it was another key each time, of the same material under the same name
    assert len(keys) == 3
    monkeypatch.undo()
    settings.cache_clear()
    aws.forget_clients()


def _kill(emulator: Emulator) -> None:
    """As `kill -9`: it writes nothing down."""
    leash = emulator._process
    assert leash is not None
    for process in psutil.Process(leash._process.pid).children(recursive=True):
        process.kill()
    emulator.stop()
