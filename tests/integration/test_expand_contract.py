"""Expand and contract: while a deployment lasts, and once it is rolled back, the code before runs on its schema."""

import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from infra.local.revisions import VERSIONS, before_newest_migration, checked_out
from infra.local.state import ROOT

_LOCK = Path("layers/dependencies/requirements-dev.txt")

READ_AND_WRITE = (
    "tests/integration/test_documented_rows.py",  # each resource, by every operation that a product's documents have
    "tests/integration/test_exports.py",  # each table that has something of a person
    "tests/integration/test_maintenance_archive.py",  # the log, and its partitions
    "tests/integration/test_http.py",  # health
)


@pytest.mark.timeout(600)
def test_given_todays_schema_then_the_code_before_the_newest_migration_reads_and_writes_as_it_did(
    tmp_path: Path,
) -> None:
    revision = before_newest_migration()
    if revision is None:
        pytest.skip("the history does not reach back to before the newest migration: a shallow clone, or none")
    # GIVEN that code, and in the place of its migrations today's
    before = checked_out(revision, tmp_path / "before")
    if others := _not_as_locked(before / _LOCK):
        pytest.skip(f"the code before the newest migration was locked to other versions: {', '.join(others)}")
    shutil.rmtree(before / VERSIONS)
    shutil.copytree(ROOT / VERSIONS, before / VERSIONS, ignore=shutil.ignore_patterns("__pycache__"))
    # WHEN it is tested THEN all is as it was
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "--maxfail=5", f"--basetemp={tmp_path / 'tmp'}", *READ_AND_WRITE],
        cwd=before,
        env={
            **{name: os.environ[name] for name in ("HOME", "PATH", "TMPDIR") if name in os.environ},
            "PYTHONPATH": f"{before / 'layers/shared/python'}:{before}",
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    if done.returncode:
        said = done.stdout + done.stderr
        errors = sorted(set(re.findall(r"psycopg\.errors\.\w+\) ([^\n\\\"]+)", said)))
        pytest.fail(
            f"The code of {revision[:10]} does not run on the newest schema: {'; '.join(errors)}\n{said[-3000:]}",
            pytrace=False,
        )


def _not_as_locked(lock: Path) -> list[str]:
    """What is installed in another version than the lock file has."""
    locked = dict(re.findall(r"^([\w.-]+)==([^ ;]+)", lock.read_text(), re.MULTILINE))
    installed = {re.sub(r"[-_.]+", "-", found.name).lower(): found.version for found in distributions()}
    return [f"{name} {version}" for name, version in locked.items() if installed.get(name, version) != version]
