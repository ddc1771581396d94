"""`python -m infra.local` (`make run`): PostgreSQL, the emulator, the mailbox and the worker, until Ctrl-C."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType

from watchfiles import Change, watch

from infra.local.emulator import Emulator
from infra.local.environment import variables
from infra.local.leash import Leashed
from infra.local.postgres import Postgres, PostgresError
from infra.local.services import services
from infra.local.state import ROOT, LocalError, Running, State
from infra.local.terminal import Terminal

_WATCHED = ("functions", "layers/shared", "infra/local")
_CODE = (".py", ".html", ".json", ".txt", ".mako", ".sql")
_READY_SECONDS = 60
_STOP_SECONDS = 20  # the worker takes up to 18 for what is under way


class Stand:
    """Everything that runs, and the one thread that looks after it."""

    def __init__(self, state: State, port: int, terminal: Terminal) -> None:
        self._state = state
        self._terminal = terminal
        self._socket = _listen(port, after_a_kill=state.read("stand.json") is not None)
        self._url = f"http://127.0.0.1:{port}"
        self._worker: Leashed | None = None
        self._ready = False  # whether the present worker has served: one that never did waits for a change
        self._stopping = threading.Event()
        self._environment: dict[str, str] = {}
        self._parts: Mapping[str, Emulator | Postgres] = {}

    def run(self) -> None:
        """Start everything, look after it, stop everything."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop_asked)
        with ExitStack() as stack:
            stack.callback(self._socket.close)
            began = time.monotonic()
            self._start_services(stack)
            stack.callback(self._stop_worker)
            self._start_worker()
            self._ready = self._wait_ready()
            if self._ready:
                self._greet(time.monotonic() - began)
            self._look_after()
            self._terminal.say(self._terminal.dim("Stopping ..."))
        (self._state.path / "stand.json").unlink(missing_ok=True)

    def _stop_asked(self, _number: int, _frame: FrameType | None) -> None:
        # In a thread of its own: this one may be in the middle of waiting for it, and hold its lock.
        threading.Thread(target=self._stopping.set).start()

    def _start_services(self, stack: ExitStack) -> None:
        there = stack.enter_context(services(self._state, database_url=os.environ.get("DATABASE_URL", "")))
        self._parts = there.parts
        self._environment = variables(
            owner_url=there.owner_url, app_url=there.app_url, endpoint=there.endpoint, url=self._url
        ) | {
            "QUINTET_STATE": str(self._state.path),
            "QUINTET_LISTEN_FD": str(self._socket.fileno()),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "layers/shared/python"), str(ROOT)]),
            "PYTHONUNBUFFERED": "1",
        }
        self._state.say(Running(os.getpid(), self._url, self._environment))

    def _start_worker(self) -> None:
        self._worker = Leashed(
            [sys.executable, "-m", "infra.local.worker"],
            output=subprocess.PIPE,
            environment=self._environment,
            descriptors=[self._socket.fileno()],
        )
        self._terminal.follow(self._worker.output)

    def _stop_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stop(_STOP_SECONDS)

    def _worker_running(self) -> bool:
        return self._worker is not None and self._worker.running()

    def _wait_ready(self) -> bool:
        """Wait until the API answers; False when it does not, and says why."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self._stopping.is_set() and time.monotonic() < deadline:
            if not self._worker_running():
                self._terminal.say("The worker ended. Mend what is shown above and save: it starts again.")
                return False
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection("127.0.0.1", self._socket.getsockname()[1], timeout=30)
                connection.request("GET", "/health")
                if connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
                    return True
                self._terminal.say("GET /health fails; see above. It is tried again when a file is saved.")
                return False
        return False

    def _greet(self, seconds: float) -> None:
        bold, dim, url = self._terminal.bold, self._terminal.dim, self._url
        rows = {
            "API": bold(url),
            "Start page": f"{url}/",
            "API reference": f"{url}/_local/reference",
            "Mailbox": f"{url}/#mailbox",
            "First administrator": "make admin EMAIL=you@example.com",
            "State": f"{self._state.path} (make clean-local removes it)",
        }
        lines = [f"  {name:<20} {value}" for name, value in rows.items()]
        ready = f"{bold('Quintet is ready')} {dim(f'after {seconds:.1f} s; Ctrl-C stops it.')}"
        self._terminal.say("\n".join(["", ready, "", *lines, ""]))

    def _look_after(self) -> None:
        """Restart the worker when code changes; end when asked to, or when a service has ended."""
        for changed in self._changes():
            for name, part in self._parts.items():
                if not part.running():
                    self._terminal.say(
                        f"{name[0].upper()}{name[1:]} has ended; stopping. Its log is in {self._state.path}."
                    )
                    return
            if changed:
                names = sorted({str(Path(path).relative_to(ROOT)) for _, path in changed})
                more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                self._restart(f"{names[0]}{more} changed: restarting")
            elif self._ready and not self._worker_running():
                self._restart("The worker has ended by itself: restarting")

    def _changes(self) -> Iterator[set[tuple[Change, str]]]:
        """What has changed, if anything, every now and then, until the stand is to stop."""
        if os.environ.get("QUINTET_RELOAD") == "off":
            while not self._stopping.wait(0.3):
                yield set()
            return
        yield from watch(
            *(ROOT / folder for folder in _WATCHED),
            watch_filter=_is_code,
            debounce=300,
            rust_timeout=300,
            yield_on_timeout=True,
            stop_event=self._stopping,
            raise_interrupt=False,
        )

    def _restart(self, why: str) -> None:
        self._terminal.say(self._terminal.dim(why))
        began = time.monotonic()
        self._stop_worker()
        self._start_worker()
        self._ready = self._wait_ready()
        if self._ready:
            self._terminal.say(self._terminal.dim(f"Ready again after {time.monotonic() - began:.1f} s"))


def _is_code(_change: Change, path: str) -> bool:
    return path.endswith(_CODE) and "__pycache__" not in path


def _listen(port: int, *, after_a_kill: bool) -> socket.socket:
    """The socket requests come to. It outlives every worker, so that none is refused while one restarts."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # The worker of a run that was killed is gone within moments, not at once.
    deadline = time.monotonic() + (3 if after_a_kill else 0)
    while True:
        try:
            listening.bind(("127.0.0.1", port))
            break
        except OSError as error:
            if time.monotonic() > deadline:
                listening.close()
                raise LocalError(
                    f"Port {port} of 127.0.0.1 cannot be used: {error.strerror}. "
                    f"Choose another: PORT={port + 1} make run"
                ) from error
            time.sleep(0.1)
    listening.listen(512)
    return listening


def _port() -> int:
    text = os.environ.get("PORT") or "8000"
    if text.isascii() and text.isdecimal() and 0 < int(text) < 2**16:
        return int(text)
    raise LocalError(f"PORT must be a number between 1 and 65535, not {text!r}.")


def main() -> int:
    """Run a stand; answers the exit code."""
    terminal = Terminal()
    state = State()
    try:
        port = _port()
        state.lock()
        Stand(state, port, terminal).run()
    except (LocalError, PostgresError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
