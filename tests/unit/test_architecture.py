"""Rules of the house that import-linter cannot say."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from functions.manifest import FUNCTIONS

ROOT = Path(__file__).parents[2]
OURS = [*(ROOT / "functions").rglob("*.py"), *(ROOT / "layers/shared/python/quintet").rglob("*.py")]
SLOW = {
    "alembic",
    "boto3",
    "botocore.session",
    "email_validator",
    "jinja2",
    "joserfc",
    "phonenumbers",
    "puremagic",
    "pwdlib",
    "pygal",
    "sentry_sdk",
    "zxcvbn",
}
"""Libraries that a cold start does without: each is imported where it is used."""


def named(path: Path) -> str:
    """For the name of a test."""
    return str(path.relative_to(ROOT))


def calls(path: Path) -> Iterator[str]:
    """The names of the methods a file calls."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.func.attr


def imports(path: Path) -> set[str]:
    """The modules a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


def test_given_the_code_then_there_is_some_to_look_at() -> None:
    assert len(OURS) > 60


@pytest.mark.parametrize("path", [path for path in OURS if path.parent.name != "versions"], ids=named)
def test_given_a_file_then_it_is_short_enough_to_be_one_thing(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    most = {"routes.py": 200, "manifest.py": 400}.get(path.name, 310)  # the manifest is a list
    assert lines <= most


@pytest.mark.parametrize("path", OURS, ids=named)
def test_given_a_file_then_only_the_session_module_commits(path: Path) -> None:
    if named(path) != "layers/shared/python/quintet/db/session.py":
        assert "commit" not in calls(path)


@pytest.mark.parametrize("path", [path for path in OURS if path.name in ("service.py", "queries.py")], ids=named)
def test_given_the_rules_and_the_sql_then_they_never_see_http(path: Path) -> None:
    seen = {module for module in imports(path) if module.split(".")[0] in ("fastapi", "starlette", "mangum")}
    assert not seen


@pytest.mark.parametrize("path", [path for path in OURS if path.name == "routes.py"], ids=named)
def test_given_a_route_then_it_is_async_and_says_in_one_line_what_it_does(path: Path) -> None:
    """A plain `def` would cost a thread for each request."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.decorator_list:
            decorators = {ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list}
            if any("lru_cache" in name for name in decorators):
                continue
            assert isinstance(node, ast.AsyncFunctionDef), node.name
            assert (ast.get_docstring(node) or "").splitlines()[0].endswith("."), node.name


@pytest.mark.parametrize("name", [name for name, function in FUNCTIONS.items() if function.routes])
def test_given_an_api_function_when_it_starts_then_nothing_slow_is_imported(name: str) -> None:
    script = f"import sys, functions.{name}.handler; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'layers/shared/python'}:{ROOT}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not SLOW & set(done.stdout.split())


@pytest.mark.parametrize("path", OURS, ids=named)
def test_given_a_file_then_it_reads_the_environment_through_the_settings(path: Path) -> None:
    """Only the settings themselves read it; a cold start sets what pydantic asks for, and Lambda sets the region."""
    if path.name not in ("config.py", "coldstart.py", "iam.py"):
        text = path.read_text()
        assert "os.environ" not in text
        assert "os.getenv" not in text
