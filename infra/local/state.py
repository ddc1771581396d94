"""The folder a run keeps everything in: `.local/`, or what QUINTET_STATE names."""

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

_LOCK = "lock"


class LocalError(RuntimeError):
    """Something the person at the terminal can put right; the message says how."""


@dataclass(frozen=True, slots=True)
class Running:
    """A stand that runs: its process, its address, and the environment its functions see."""

    pid: int
    url: str
    environment: dict[str, str]


class State:
    """One state folder. Files in it are for its owner only."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = (path or Path(os.environ.get("QUINTET_STATE") or ROOT / ".local")).absolute()
        self._lock: int | None = None

    def lock(self) -> None:
        """Claim the folder until this process ends; raises LocalError when a stand runs on it."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o711)
        if not self._try_lock():
            running = self.running()
            where = f" at {running.url} (process {running.pid})" if running else ""
            raise LocalError(
                f"A stand already runs{where} on {self.path}. Stop it with Ctrl-C in its terminal, or start "
                f"another beside it: QUINTET_STATE=.local-2 PORT=8001 make run"
            )

    def _try_lock(self) -> bool:
        # Opened anew for each try, and not inherited by children: it ends with this process, however it ends.
        descriptor = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def unlock(self) -> None:
        """Give the folder back."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def clear(self) -> None:
        """Forget all that the folder holds, which is locked."""
        for path in self.path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK:
                path.unlink()

    def running(self) -> Running | None:
        """The stand that runs on this folder; None when none does."""
        if self._lock is None and self.path.exists() and self._try_lock():
            self.unlock()
            return None
        stored = self.read("stand.json")
        return Running(**json.loads(stored)) if stored else None

    def say(self, running: Running) -> None:
        """Let others on this machine (`make admin`, the tests) find the stand."""
        self.write("stand.json", json.dumps(asdict(running), indent=2))

    def read(self, name: str) -> str | None:
        """The content of a file of the folder, if it is there."""
        with suppress(FileNotFoundError):
            return (self.path / name).read_text()
        return None

    def write(self, name: str, content: str) -> None:
        """Replace a file of the folder, whole or not at all."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        making = path.with_name(path.name + ".new")
        descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        making.replace(path)

    def port(self, name: str) -> int:
        """A port for `name`, and no other name: that of the last run while it is free, so that links stay good."""
        ports: dict[str, int] = json.loads(self.read("ports.json") or "{}")
        wanted, others = ports.pop(name, 0), {0, *ports.values()}
        while wanted in others or not _is_free(wanted):
            wanted = _any_free()
        self.write("ports.json", json.dumps({**ports, name: wanted}))
        return wanted


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def without_proxies(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` in which nothing on this machine is reached through a proxy."""
    local = "127.0.0.1,localhost"
    return {
        **environment,
        **{
            name: f"{local},{environment[name]}" if environment.get(name) else local
            for name in ("NO_PROXY", "no_proxy")
        },
    }
