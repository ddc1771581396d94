"""Runs a program that must not outlive its parent: `leash.py STOP ORPHANED UID PROGRAM ARGUMENT...`.

The parent holds the other end of standard input. When it closes, even by `kill -9` of the parent, the program
gets the signal ORPHANED, and SIGKILL when it has not ended 15 s later. SIGTERM to the leash is passed on as
STOP. UID -1 keeps the user. Ends with the program's exit code. Standard library only: it starts in 20 ms.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

_GRACE = 15.0


class Leashed:
    """A program on a leash held by this process, in its own session so that Ctrl-C reaches only us.

    `stop` and `orphaned` are the signals described above, `uid` the user to become, `output` where both its
    outputs go, `descriptors` what it inherits.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        stop: signal.Signals = signal.SIGTERM,
        orphaned: signal.Signals = signal.SIGKILL,
        uid: int | None = None,
        output: IO[bytes] | int | None = None,
        environment: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> None:
        numbers = (int(stop), int(orphaned), -1 if uid is None else uid)
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, *map(str, numbers), *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            env=environment,
            pass_fds=descriptors,
            start_new_session=True,
        )

    @property
    def output(self) -> IO[bytes]:
        """What it writes, when `output` was a pipe."""
        assert self._process.stdout is not None
        return self._process.stdout

    def running(self) -> bool:
        """Whether it is there."""
        return self._process.poll() is None

    def stop(self, timeout: float) -> None:
        """Stop it: kindly, and after `timeout` seconds as if we had died."""
        assert self._process.stdin is not None
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        self._process.stdin.close()
        self._process.wait()


def main(arguments: Sequence[str]) -> int:
    """Run the program and wait for it."""
    stop, orphaned, uid = (int(argument) for argument in arguments[:3])
    program: subprocess.Popen[bytes] | None = None
    early = False

    def pass_on(*_: Any) -> None:
        nonlocal early
        early = True
        if program is not None:
            program.send_signal(stop)

    signal.signal(signal.SIGTERM, pass_on)
    drop: dict[str, Any] = {"user": uid, "group": uid, "extra_groups": []} if uid >= 0 else {}
    program = running = subprocess.Popen(arguments[3:], stdin=subprocess.DEVNULL, close_fds=False, **drop)
    if early:
        program.send_signal(stop)

    def hold() -> None:
        while os.read(0, 1024):
            pass
        running.send_signal(orphaned)
        with suppress(subprocess.TimeoutExpired):
            running.wait(_GRACE)
            return
        running.kill()

    threading.Thread(target=hold, daemon=True).start()
    code = running.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
