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


def start(
    command: Sequence[str],
    *,
    stop: signal.Signals = signal.SIGTERM,
    orphaned: signal.Signals = signal.SIGKILL,
    uid: int | None = None,
    output: IO[bytes] | int | None = None,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` on a leash held by this process, in its own session so that Ctrl-C reaches only us.

    `stop` and `orphaned` are the signals described above, `uid` the user to become, `output` where both its
    outputs go, `descriptors` what it inherits. `terminate()` and `wait()` on the answer stop it; closing its
    `stdin` ends it the hard way.
    """
    uid = -1 if uid is None else uid
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(int(stop)), str(int(orphaned)), str(uid), *command],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        env=environment,
        pass_fds=descriptors,
        start_new_session=True,
    )


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
