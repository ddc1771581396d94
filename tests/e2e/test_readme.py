"""The README's walk, run as it is written there."""

import os
import re
import subprocess
import sys
from pathlib import Path

from infra.local.postgres import free_port
from tests.e2e.stand import Stand

WALK = re.compile(r"<!-- walk( on this machine)? -->\n```sh\n(.*?)```", re.DOTALL)
"""What is on this machine only, a deployed API does not call."""


def test_given_a_running_stand_when_the_readme_is_followed_then_everything_works(
    stand: Stand, repository: Path, tmp_path: Path
) -> None:
    stand.running()  # `make admin` looks into it
    readme = (repository / "README.md").read_text()
    steps = [step for local, step in WALK.findall(readme) if not (local and stand.given)]
    script = "\n".join(steps).replace("http://127.0.0.1:8000", stand.url)
    script = script.replace("9797", str(free_port()))
    script = script.replace("make admin", f"make --directory={repository} admin")
    script = script.replace(".venv/bin/python", sys.executable)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "QUINTET_STATE": str(stand.state)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stderr == ""
    # THEN each step gave what the text around it says.
    assert re.search('"Order brass".*"in_progress".*"Draw the engine".*"in_progress"', done.stdout)
    assert "Notes on the engine" in done.stdout
    assert re.search(r'"status": ?"ready"', done.stdout)
    assert '"pointer":"/title"' in done.stdout
    assert '"rows_created":1,"rows_updated":0,"rows_duplicate":0,"rows_invalid":1' in done.stdout.replace(" ", "")
    assert "3,Email: not an email address" in done.stdout
    assert '"outcome":"converted"' in done.stdout
    assert re.search(r'"unread_count": ?1\b', done.stdout)
    assert "The engine is ready." in done.stdout
    assert re.search(r'"status": ?"waitlisted", ?"waitlist_position": ?1\b', done.stdout)
    assert re.search(r'"status": ?"completed"', done.stdout)
    assert re.search(r"(?i)cache-control: public, max-age=2\d\b", done.stdout)  # kept: of 30 seconds some are over
    if not stand.given:
        assert re.search(r'genuine {.*"type": "project.updated"', done.stdout)
        assert re.search(r'"status": ?"delivered"', done.stdout)
        assert '"type":"source-url"' in done.stdout
        assert re.search('"tool-output-available".*"title":"Oil the wheels"', done.stdout)
        assert '"rule":"link-empty"' in done.stdout
    assert re.search(r'"highlight": ?"The <mark>engine</mark> is ready[.]"', done.stdout)
    assert re.search(r"^messages[.]jsonl +20\d\d-", done.stdout, re.MULTILINE)
    assert re.search(r"^files/[0-9a-f-]+/notes[.]txt +20\d\d-", done.stdout, re.MULTILINE)
    assert '"erased_after"' in done.stdout
    heard = (tmp_path / "heard.txt").read_text()
    assert '"type":"replayed"' in heard
    assert '"type":"message.created"' in heard
    assert "<svg" in (tmp_path / "report.html").read_text()
    assert "Confirm" in stand.wait_for_mail("ada@example.com").subject


def test_given_the_readme_then_every_make_command_in_it_exists(repository: Path) -> None:
    named = set(re.findall(r"make ([a-z-]+)", (repository / "README.md").read_text()))
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.MULTILINE))
    assert {"run", "test", "synth", "deploy"} <= named <= targets
