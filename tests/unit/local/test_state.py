"""The state folder belongs to one stand at a time, and forgets nothing."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from infra.local.state import LocalError, Running, State

HOLD = """
import sys, time
from pathlib import Path
from infra.local.state import Running, State
state = State(Path(sys.argv[1]))
state.lock()
state.say(Running(1, "http://127.0.0.1:1", {"A": "b"}))
print("locked", flush=True)
time.sleep(60)
"""


def test_given_a_stand_that_runs_when_another_wants_its_folder_then_it_is_told_and_after_a_kill_it_may(
    tmp_path: Path,
) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        second = State(tmp_path)
        # THEN it is found, and not disturbed
        assert second.running() == Running(1, "http://127.0.0.1:1", {"A": "b"})
        with pytest.raises(LocalError, match=r"A stand already runs at http://127\.0\.0\.1:1"):
            second.lock()
        holder.send_signal(signal.SIGKILL)
    # THEN a killed one holds nothing
    assert second.running() is None
    second.lock()
    second.unlock()


def test_given_a_port_when_asked_again_then_it_is_the_same_while_it_is_free(tmp_path: Path) -> None:
    port = State(tmp_path).port("emulator")
    assert State(tmp_path).port("emulator") == port
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        other = State(tmp_path).port("emulator")
        assert other != port
    assert State(tmp_path).port("emulator") == other


def test_given_two_that_once_had_the_same_port_then_they_have_it_no_more(tmp_path: Path) -> None:
    # GIVEN a port that was free for the second, since the first had not begun to listen
    port = State(tmp_path).port("emulator")
    (tmp_path / "ports.json").write_text(f'{{"emulator": {port}, "postgres": {port}}}')
    state = State(tmp_path)
    assert state.port("emulator") != state.port("postgres")
    # THEN it stays so.
    assert State(tmp_path).port("emulator") != State(tmp_path).port("postgres")


def test_given_a_file_when_written_then_it_is_its_owners_alone_and_replaced_whole(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert state.read("secret") is None
    state.write("secret", "one")
    state.write("secret", "two")
    assert state.read("secret") == "two"
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["secret"]
