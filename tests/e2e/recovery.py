"""Minutes that pass at once, for tests of what is done again after a kill."""

import subprocess
import sys

import psycopg

from infra.local.state import ROOT
from tests.e2e.stand import Stand

_PASS = (
    "UPDATE deliveries SET lease_until = now(), next_attempt_at = now() WHERE done_at IS NULL",
    "UPDATE files SET created_at = created_at - interval '2 minutes', checked_at = NULL "
    "WHERE status IN ('pending', 'uploaded')",
)
"""The leases of those who died, and how long is waited for S3 to tell of an object."""


def minutes_pass(stand: Stand) -> None:
    """Whatever a kill has left undone is due, and the dispatcher comes, as it does each minute."""
    environment = stand.running().environment
    with psycopg.connect(environment["DATABASE_OWNER_URL"]) as connection:
        for statement in _PASS:
            connection.execute(statement)
    done = subprocess.run(
        [sys.executable, "-c", "from infra.local.invocation import invoke; invoke('event_dispatcher', {})"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"the dispatcher failed:\n{done.stdout}"
