"""S3, SQS, SES, SNS and Secrets Manager on 127.0.0.1: the `ministack` package in a process of its own."""

import http.client
import os
import sys
import time

from infra.local.events import ACCOUNT, REGION
from infra.local.leash import Leashed
from infra.local.state import LocalError, State, without_proxies

_WAIT = 30.0  # seconds
_DEPLOYABLE = "import runpy, sys; sys.executable = sys.argv.pop(); runpy.run_module('ministack', run_name='__main__')"


class Emulator:
    """One emulator. Objects survive below the state folder; queues, secrets and the rest are made anew."""

    def __init__(self, state: State) -> None:
        self._folder = state.path / "emulator"
        self._process: Leashed | None = None
        self.port = state.port("emulator")
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def start(self, *, smtp_port: int, lambda_python: str = "") -> None:
        """Start it; mail it is given goes on to `smtp_port`. It answers a little later: see `wait`.

        With `lambda_python`, a Python to run functions with, it is to be deployed to: it checks permissions, too.
        """
        temporary = self._folder / "tmp"
        temporary.mkdir(parents=True, exist_ok=True)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        environment = without_proxies(kept) | {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "HOME": str(self._folder),
            "TMPDIR": str(temporary),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(self._folder / "s3"),
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "MINISTACK_REGION": REGION,
            "SMTP_HOST": f"127.0.0.1:{smtp_port}",
            "LOG_LEVEL": "WARNING",
            # It would otherwise open further ports, and clean up containers that are not ours.
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "DOCKER_HOST": f"unix://{self._folder}/none",
        }
        if lambda_python:
            environment |= {"AUTH": "true", "PYTHONPATH": ""}
        for name in ("MINISTACK_HOST", "PERSIST_STATE", "USE_SSL", "SERVICES"):
            environment.pop(name, None)
        with (self._folder / "log").open("wb") as log:
            self._process = Leashed(self._command(lambda_python), output=log, environment=environment)

    def _command(self, lambda_python: str) -> list[str]:
        if not lambda_python:
            return [sys.executable, "-m", "ministack"]
        # It runs functions with its own interpreter, in whose packages they would find what their layers lack.
        alone = self._folder / "python"
        alone.write_text(f'#!/bin/sh\nexec "{lambda_python}" -S "$@"\n')
        alone.chmod(0o755)
        return [sys.executable, "-c", _DEPLOYABLE, str(alone)]

    def wait(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + _WAIT
        while time.monotonic() < deadline and self.running():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            try:
                connection.request("GET", "/_ministack/health")
                if connection.getresponse().status == http.HTTPStatus.OK:
                    return
            except OSError:
                time.sleep(0.02)
            finally:
                connection.close()
        log = (self._folder / "log").read_text(errors="replace")
        raise LocalError(f"The AWS emulator did not start; {self._folder / 'log'} ends:\n{log[-2000:]}")

    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.running()

    def stop(self) -> None:
        """Stop it."""
        if self._process is not None:
            self._process.stop(timeout=5)
            self._process = None
