"""Runs a program that must not outlive its parent: `leash.py SIGNAL UID PROGRAM ARGUMENT...`.

The parent holds the other end of standard input. When it closes, even by `kill -9` of the parent, the program
gets SIGNAL, and SIGKILL when it has not ended 15 s later. SIGTERM and SIGINT to the leash are passed on as
SIGNAL. UID -1 keeps the user. Ends with the program's exit code. Standard library only: it starts in 20 ms.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

_GRACE = 15.0


def start(
    command: Sequence[str],
    *,
    stop: signal.Signals = signal.SIGTERM,
    uid: int | None = None,
    output: IO[bytes] | int | None = None,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start `command` on a leash held by this process, in its own session so that Ctrl-C reaches only us.

    `stop` is the signal that ends it, `uid` the user to become, `output` where both its outputs go,
    `descriptors` what it inherits. `terminate()` and `wait()` on the answer stop it.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(int(stop)), str(-1 if uid is None else uid), *command],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT if output is not None else None,
        env=environment,
        pass_fds=descriptors,
        start_new_session=True,
    )


def main(arguments: Sequence[str]) -> int:
    """Run the program and wait for it."""
    stop, uid, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    drop = {"user": uid, "group": uid, "extra_groups": []} if uid >= 0 else {}
    # Signals wait until there is a program to pass them to.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False, **drop)  # type: ignore[call-overload]
    for received in (signal.SIGTERM, signal.SIGINT):
        signal.signal(received, lambda *_: program.send_signal(stop))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})

    def hold() -> None:
        while os.read(0, 1024):
            pass
        program.send_signal(stop)
        with suppress(subprocess.TimeoutExpired):
            program.wait(_GRACE)
            return
        program.kill()

    threading.Thread(target=hold, daemon=True).start()
    code: int = program.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
