"""Functions as Lambda runs them: the built layers, the function's own bundle, and a Python with nothing installed.

Where there is no Python 3.13 to build the layers with, the packages of this environment stand in.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.bundling import HOST_PLATFORM, ROOT, SHARED, compiler, dependencies_layer, function_bundle, shared_layer


class Process:
    """A program that replies on the descriptor REPLY_FD, in lines of JSON; what it logs goes nowhere.

    `asked` is what it finds on standard input, which stays open without.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], asked: Any = None) -> None:
        replies, given = os.pipe()
        self._replies = os.fdopen(replies)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**environment, "REPLY_FD": str(given)},
            pass_fds=[given],
            text=True,
        )
        os.close(given)
        if asked is not None:
            self._say(asked)

    def ask(self, **command: Any) -> Any:
        """Give it a command; its reply."""
        self._say(command)
        return self.reply()

    def reply(self) -> Any:
        """The next line it replies."""
        line = self._replies.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended without a reply; what it said is above")
        return json.loads(line)

    def stop(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.communicate()
        self._replies.close()

    def _say(self, what: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()


@dataclass(frozen=True, slots=True)
class Runtime:
    """An interpreter, and the folders of the layers."""

    python: Path
    layers: tuple[Path, ...]
    bundled: bool

    def start(self, function: str, program: Sequence[str], variables: Mapping[str, str], asked: Any = None) -> Process:
        """Start Python with `program` as its arguments, which finds `function` as it does on Lambda."""
        code = function_bundle(function) if self.bundled else ROOT
        kept = {name: value for name, value in variables.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
        environment = {**kept, "PYTHONPATH": os.pathsep.join(map(str, (code, *self.layers)))}
        return Process([str(self.python), "-P", *program], environment, asked)

    @contextmanager
    def worker(self, function: str, variables: Mapping[str, str]) -> Iterator[Process]:
        """A process of `worker.py` with this function."""
        process = self.start(function, [str(Path(__file__).with_name("worker.py")), function], variables)
        try:
            yield process
        finally:
            process.stop()


def runtime(folder: Path) -> Runtime:
    """The runtime of this machine; `folder` is for what it needs."""
    try:
        # Without what the interpreter's own site-packages hold, start-up hooks among it.
        subprocess.run([compiler(), "-m", "venv", "--without-pip", str(folder)], check=True)
        layers = dependencies_layer(HOST_PLATFORM), shared_layer()
    except RuntimeError:
        return Runtime(Path(sys.executable), (SHARED / "python",), bundled=False)
    return Runtime(folder / "bin" / "python", tuple(layer / "python" for layer in layers), bundled=True)
