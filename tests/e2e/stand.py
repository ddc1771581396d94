"""A whole stand as a process of its own, to be used, killed and started again."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import psutil
import psycopg
import pytest

from infra.local.mail import Mail, mails
from infra.local.postgres import free_port
from infra.local.state import ROOT, Running, State

READY_SECONDS = 60
PASSWORD = "a long walk by the sea"
_T = TypeVar("_T")
_CONTRACT = re.compile(
    r"AI_|AWS_|DATABASE_|FILES_|ARCHIVE_|TOKEN_|EMAIL_|API_URL$|REALTIME_|CORS_|ENVIRONMENT$|QUINTET_|LOG_FORMAT$|.*_QUEUE_URL$"
)


def given_url() -> str:
    """Where the stand is that tests are to use; "" when they start their own."""
    return os.environ.get("BASE_URL", "").rstrip("/")


class Stand:
    """`python -m infra.local` on a state folder and a port of its own.

    With an address given, it is whatever runs there: what would start, stop or kill it skips the test. Where it says
    how to look into it (its state folder, which QUINTET_STATE names), tests do.
    """

    def __init__(self, folder: Path, *, url: str = "", environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = url or f"http://127.0.0.1:{self.port}"
        self.given = bool(url)
        """Whether it is somebody else's."""
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it and wait until it is ready; answers after how many seconds it was."""
        if self.given:
            self.wait_ready()
            return 0.0
        began = time.monotonic()
        self.launch()
        self.wait_ready()
        return time.monotonic() - began

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it and do not wait. What it writes is appended to `log`."""
        self.own()
        kept = {name: value for name, value in os.environ.items() if not _CONTRACT.match(name)}
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "infra.local"],
                cwd=ROOT,
                env=kept
                | {
                    "PORT": str(self.port),
                    "QUINTET_STATE": str(self.state),
                    "QUINTET_RETRY_SECONDS": "1",
                    "QUINTET_RELOAD": "off",  # whoever edits while tests run means no harm
                    "MESHY_API_URL": "http://127.0.0.1:9",  # nobody listens there
                    "VIDEO_API_URL": "http://127.0.0.1:9",
                }
                | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self._process

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until GET /health/ready answers 200."""
        deadline = time.monotonic() + seconds
        answer = "no answer"
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"the stand ended with {self._process.returncode}:\n{self.output()}")
            with suppress(httpx2.TransportError):
                got = httpx2.get(f"{self.url}/health/ready", timeout=30)
                if got.status_code == httpx2.codes.OK:
                    return
                answer = got.text
            time.sleep(0.05)
        raise AssertionError(f"the stand is not ready after {seconds} s ({answer}):\n{self.output()}")

    def stop(self) -> int:
        """Stop it as Ctrl-C does; answers its exit code."""
        self.own()
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(30)
        self._process = None
        return code

    def kill(self, *, everything: bool = True) -> None:
        """`kill -9`: of the stand and every process it started, or of the stand alone. Nothing is left after."""
        self.own()
        assert self._process is not None
        family = self.family()
        # Who works dies before what it works with: the emulator calls a mail sent whose mailbox is gone.
        for member in reversed(family) if everything else family[:1]:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        self._process.wait()
        self._process = None
        _, alive = psutil.wait_procs(family, timeout=20)
        assert not alive, f"left running: {alive}"

    def restart(self) -> float:
        """Start it again after `kill` or `stop`; answers after how many seconds it was ready."""
        return self.start()

    def close(self) -> None:
        """End it, however it is."""
        if self._process is not None and self._process.poll() is None:
            self.stop()

    def worker(self) -> int:
        """The process that serves; 0 while there is none."""
        for member in self.family():
            with suppress(psutil.Error):
                if member.cmdline()[-1:] == ["infra.local.worker"] and "leash.py" not in "".join(member.cmdline()):
                    return member.pid
        return 0

    def family(self) -> list[psutil.Process]:
        """Its process, and all that it started."""
        assert self._process is not None
        supervisor = psutil.Process(self._process.pid)
        return [supervisor, *supervisor.children(recursive=True)]

    def own(self) -> None:
        """Skip the test when the stand is somebody else's."""
        if self.given:
            pytest.skip("needs a stand of its own, and BASE_URL names one")

    @property
    def state(self) -> Path:
        """Its state folder."""
        return State().path if self.given else self.folder / "state"

    @property
    def log(self) -> Path:
        """What it has written to its terminal."""
        return self.folder / "log"

    def output(self) -> str:
        """What it has written to its terminal, as text."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def running(self) -> Running:
        """What the stand says of itself: database and AWS addresses are in its `environment`."""
        running = State(self.state).running()
        if self.given and (running is None or running.url != self.url):
            pytest.skip("looks into the stand, and nothing here says how: QUINTET_STATE names no state of it")
        assert running is not None, "no stand runs"
        return running

    def client(self, **options: Any) -> httpx2.Client:
        """An HTTP client of it."""
        return httpx2.Client(base_url=self.url, timeout=60, **options)

    def sign_up(self, email: str, **options: Any) -> httpx2.Client:
        """An HTTP client who is signed in with a new account."""
        with self.client() as client:
            new = {"email": email, "password": PASSWORD, "full_name": "Some Body"}
            answer = client.post("/auth/register", json=new)
            if answer.status_code == httpx2.codes.TOO_MANY_REQUESTS:
                self.forgive()
                answer = client.post("/auth/register", json=new)
            answer.raise_for_status()
            signed = client.post("/auth/login", json={"email": email, "password": PASSWORD})
        return self.client(headers={"authorization": f"Bearer {signed.json()['access_token']}"}, **options)

    def prove(self, email: str) -> None:
        """Open the link that was mailed to an address, and press its button: some mails go to proven addresses only."""
        [link] = re.findall(r"http\S+token=\S+", self.wait_for_mail(email, subject="Confirm").text)
        page, _, token = link.partition("?token=")
        httpx2.post(page, data={"token": token}, timeout=30).raise_for_status()

    def forgive(self) -> None:
        """Forget what was counted for rate limits: everybody here comes from one address."""
        with psycopg.connect(self.running().environment["DATABASE_OWNER_URL"]) as connection:
            connection.execute("DELETE FROM rate_counters")

    def mails(self, to: str = "") -> list[Mail]:
        """What it sent (to that address), the oldest first."""
        self.running()
        return [mail for mail in reversed(mails(self.state / "mail")) if to in mail.to]

    def wait_for_mail(self, to: str, *, subject: str = "", count: int = 1, seconds: float = 30) -> Mail:
        """The `count`th mail to that address with `subject` in its subject, once it is there."""
        deadline = time.monotonic() + seconds
        while len(found := [mail for mail in self.mails(to) if subject in mail.subject]) < count:
            assert time.monotonic() < deadline, f"no mail {count} to {to} about {subject!r}:\n{self.output()[-4000:]}"
            time.sleep(0.1)
        return found[count - 1]


def eventually(ask: Callable[[], _T], accept: Callable[[_T], bool] = bool, seconds: float = 30) -> _T:
    """What `ask` answers, once `accept` takes it."""
    deadline = time.monotonic() + seconds
    while not accept(answer := ask()):
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        time.sleep(0.1)
    return answer
