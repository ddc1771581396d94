"""The running API against its own document, by schemathesis: every check, thousands of requests."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.stand import Stand
from tests.support.api import PASSWORD

pytestmark = pytest.mark.timeout(1800)

HERE = Path(__file__).parent
ADMINISTERED = ("users", "administration", "roles", "divisions", "events")
"""What an administrator can do more of than a user."""
ENOUGH = 2_000
SECONDS = 900


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """A stand of its own, which ends up full and rate-limited."""
    stand = Stand(tmp_path_factory.mktemp("stand"), url=os.environ.get("BASE_URL", "").rstrip("/"))
    stand.own()
    stand.folder.mkdir(exist_ok=True)
    stand.start()
    yield stand
    stand.close()


def token_of(stand: Stand, role: str) -> str:
    """An access token of a new account with this role."""
    email = f"{role}-{os.urandom(6).hex()}@example.com"
    with stand.client() as client:
        made = client.post("/auth/register", json={"email": email, "password": PASSWORD, "full_name": role})
        assert made.status_code == 201, made.text
        if role == "admin":
            with psycopg.connect(stand.running().environment["DATABASE_OWNER_URL"]) as connection:
                connection.execute(
                    "INSERT INTO user_roles SELECT %s, id FROM roles WHERE name = 'admin'", [made.json()["id"]]
                )
        signed = client.post("/auth/login", json={"email": email, "password": PASSWORD})
    return str(signed.json()["access_token"])


def run(stand: Stand, token: str, *options: str) -> int:
    """Run all checks over what the options choose; how many requests that were."""
    tool = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")]
    done = subprocess.run(
        [*tool, "run", f"{stand.url}/openapi.json", "--url", f"{stand.url}/api/v1", "--checks", "all", *options],
        env=os.environ | {"SCHEMATHESIS_TOKEN": token, "SCHEMATHESIS_REASONS": str(HERE / "reasons.py")},
        cwd=stand.folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    generated = re.search(r"(\d+) generated", done.stdout)
    assert generated, done.stdout
    return int(generated[1])


def test_given_the_document_when_its_api_is_tried_then_it_keeps_to_every_word(stand: Stand) -> None:
    user, admin = token_of(stand, "user"), token_of(stand, "admin")
    # Sessions first: their limits count what everybody here does, and signing out ends them.
    count = run(stand, token_of(stand, "user"), "--include-tag", "auth")
    count += run(stand, user, "--exclude-tag", "auth")
    count += run(stand, admin, *(f"--include-tag={tag}" for tag in ADMINISTERED))
    assert count >= ENOUGH
