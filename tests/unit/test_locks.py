"""The locks are those of pyproject.toml: what is tested and shipped is what it names."""

import re
import tomllib
from pathlib import Path

import pytest

LOCKS = Path("layers/dependencies")


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, list[str]]:
    """What pyproject.toml asks for: `dependencies` and `dev`."""
    content = tomllib.loads((repository / "pyproject.toml").read_text())
    return {"dependencies": content["project"]["dependencies"], **content["dependency-groups"]}


def locked(file: Path) -> set[str]:
    """`name==version` of everything in a lock."""
    return set(re.findall(r"^([a-z0-9-]+==[^ ;]+)", file.read_text(), re.MULTILINE))


def pinned(requirements: list[str]) -> set[str]:
    """The same of requirements, each of which must be exact."""
    pins = {re.sub(r"\[.*\]", "", requirement) for requirement in requirements}
    assert all(re.fullmatch(r"[a-z0-9-]+==[a-z0-9.]+", pin) for pin in pins)
    return pins


def test_given_what_the_project_names_then_the_locks_hold_these_versions(
    repository: Path, project: dict[str, list[str]]
) -> None:
    shipped, installed = (locked(repository / LOCKS / f"requirements{kind}.txt") for kind in ("", "-dev"))
    runtime = pinned(project["dependencies"])
    # `make lock` writes them anew.
    assert runtime - shipped == set()
    assert (runtime | pinned(project["dev"])) - installed == set()
    assert shipped - installed == set(), "what is shipped is not what is tested"


def test_given_every_lock_then_it_has_pins_and_hashes_and_no_address(repository: Path) -> None:
    locks = [*(repository / LOCKS).glob("requirements*.txt")]
    locks += [lock for lock in (repository / "tests").rglob("package-lock.json") if "node_modules" not in lock.parts]
    assert len(locks) == 4
    for lock in locks:
        assert "://" not in lock.read_text(), lock
