"""The README's walk, run as it is written there."""

import re
import subprocess
from pathlib import Path

from tests.e2e.stand import Stand

WALK = re.compile(r"<!-- walk -->\n```sh\n(.*?)```", re.DOTALL)


def test_given_a_running_stand_when_the_readme_is_followed_then_everything_works(
    stand: Stand, repository: Path, tmp_path: Path
) -> None:
    readme = (repository / "README.md").read_text()
    script = "\n".join(WALK.findall(readme)).replace("http://127.0.0.1:8000", stand.url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stderr == ""
    # THEN each step gave what the text around it says.
    assert "Notes on the engine" in done.stdout
    assert re.search(r'"status": ?"ready"', done.stdout)
    assert '"pointer":"/title"' in done.stdout
    assert "Confirm" in stand.wait_for_mail("ada@example.com").subject


def test_given_the_readme_then_every_make_command_in_it_exists(repository: Path) -> None:
    named = set(re.findall(r"make ([a-z-]+)", (repository / "README.md").read_text()))
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.MULTILINE))
    assert {"run", "test", "synth", "deploy"} <= named <= targets
