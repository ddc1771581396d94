"""`python -m infra.local.rehearsal` (`make rehearse`): the stacks deployed into an emulated account, and used.

First the release before this one, then this one over it while a client keeps calling, then the whole end-to-end
suite. No AWS account, no Docker.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3

from infra.bundling import BUILD, compiler
from infra.local.deployment import DeploymentError, deploy, synthesise
from infra.local.environment import aws_variables
from infra.local.events import REGION
from infra.local.postgres import PostgresError
from infra.local.services import services
from infra.local.state import ROOT, LocalError, Running, State
from infra.local.templates import Place

NEXT_RELEASE = "REHEARSED_RELEASE"
"""The variable by which the test of an update knows what to deploy."""

GAPS: dict[str, str] = {}
"""What the emulator cannot do -> the test that looks at the template for it."""

_STATE = ROOT / ".local" / "rehearsal"
_UPDATE = "tests/e2e/test_update.py"


def main() -> int:
    """Rehearse; answers the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--env", default="dev", help="the environment whose stacks are deployed")
    parser.add_argument("--over", default="HEAD^", metavar="REVISION", help="what is deployed before")
    asked = parser.parse_args()
    shutil.rmtree(_STATE, ignore_errors=True)
    state = State(_STATE)
    try:
        state.lock()
        with tempfile.TemporaryDirectory() as folder:
            return _rehearse(state, Path(folder), asked.env, asked.over)
    except (DeploymentError, LocalError, PostgresError) as error:
        print(error, file=sys.stderr)
        return 1


def _rehearse(state: State, folder: Path, environment: str, revision: str) -> int:
    before = _checked_out(revision, folder / "before")
    _say(f"Synthesising {environment} as of {revision} and as of now ...")
    with ThreadPoolExecutor() as pool:
        made = [pool.submit(synthesise, at, environment, folder / at.name / "cdk.out") for at in (before, ROOT)]
        with services(state, lambda_python=compiler(), feedback_queue=f"quintet-{environment}-email_feedback") as there:
            place = Place(there.endpoint, there.app_url, there.owner_url)
            _say(f"Deploying {revision} ...")
            outputs = deploy(made[0].result(), place)
            release = made[1].result()
            url = next(value for name, value in outputs.items() if name.startswith("RestApiUrl"))
            told = _told(place) | {NEXT_RELEASE: release.write()}
            state.say(Running(os.getpid(), url, told))
            variables = {"BASE_URL": url, "QUINTET_STATE": str(state.path)}
            _say("Deploying what is here over it, while a client keeps calling ...")
            failed = _pytest(_UPDATE, variables=variables)
            if not failed:
                _say(f"Using it at {url} ...")
                failed = _pytest(
                    "-n", "2", "--no-loadscope-reorder", "tests/e2e", f"--ignore={_UPDATE}", variables=variables
                )
    _say("Not rehearsed, since the emulator cannot; each is asserted in the template by the test named:")
    for what, test in GAPS.items():
        print(f"  {what}: {test}")
    return failed


def _checked_out(revision: str, folder: Path) -> Path:
    """The code as of a revision, in `folder`."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=False)
    if archive.returncode:
        raise LocalError(f"There is no {revision} to deploy first: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
    BUILD.mkdir(exist_ok=True)
    (folder / BUILD.name).symlink_to(BUILD)  # named by content: most is the same
    return folder


def _told(place: Place) -> dict[str, str]:
    """What the functions are told, all of them together, so that tests can look where they look."""
    variables: dict[str, str] = {}
    client = boto3.client(
        "lambda",
        endpoint_url=place.endpoint,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    for page in client.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            variables |= function.get("Environment", {}).get("Variables", {})
    variables.pop("PYTHONPATH", None)
    return variables | aws_variables(place.endpoint)


def _pytest(*arguments: str, variables: Mapping[str, str]) -> int:
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], cwd=ROOT, env={**os.environ, **variables}, check=False
    ).returncode


_began = time.monotonic()


def _say(what: str) -> None:
    print(f"{time.monotonic() - _began:6.1f} s  {what}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
