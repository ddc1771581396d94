"""Building what is uploaded: each folder holds what it should, and changes only with its content."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from functions.manifest import FUNCTIONS, Need
from infra import bundling
from infra.slimming import strip
from tests.infra.conftest import asset_hash


def bundles() -> dict[str, str]:
    return {name: asset_hash(bundling.function_bundle(name)) for name in FUNCTIONS}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code, and a folder for builds that is empty."""
    for folder in ("functions", "layers/shared", "docs"):
        shutil.copytree(bundling.ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, value in {"ROOT": tmp_path, "BUILD": tmp_path / ".build", "SHARED": tmp_path / "layers/shared"}.items():
        monkeypatch.setattr(bundling, name, value)
    return tmp_path


def test_the_layer_ships_the_model_of_every_aws_service_that_the_code_calls() -> None:
    code = [*(bundling.ROOT / "functions").rglob("*.py"), *bundling.SHARED.rglob("*.py")]
    called = {name for file in code for name in re.findall(r"client\(\s*\"([\w-]+)\"", file.read_text())}
    data = bundling.dependencies_layer() / "python" / "botocore" / "data"
    assert called <= {folder.name for folder in data.iterdir() if folder.is_dir()}
    assert called == {"sqs", *bundling.AWS_SERVICES.values()}
    no_client = {Need.DATABASE, Need.API_URL}
    assert bundling.AWS_SERVICES.keys() == set(Need) - no_client


def test_a_function_ships_its_own_code_and_no_others() -> None:
    for name, function in FUNCTIONS.items():
        bundle = bundling.function_bundle(name)
        files = {str(path.relative_to(bundle)) for path in bundle.rglob("*.*") if path.suffix != ".pyc"}
        assert {"functions/__init__.py", "functions/manifest.py", *function.ships} <= files
        others = {file for file in files if not file.startswith(f"functions/{name}/")}
        assert others == {"functions/__init__.py", "functions/manifest.py", *function.ships}


def test_editing_one_function_changes_one_asset(checkout: Path) -> None:
    before, shared = bundles(), asset_hash(bundling.shared_layer())
    with (checkout / "functions" / "projects" / "service.py").open("a") as code:
        code.write("\nEDITED = True\n")
    after = bundles()
    assert {name for name in FUNCTIONS if before[name] != after[name]} == {"projects"}
    assert asset_hash(bundling.shared_layer()) == shared


def test_what_is_built_twice_from_nothing_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def everything() -> list[str]:
        return [*bundles().values(), asset_hash(bundling.shared_layer()), asset_hash(bundling.dependencies_layer())]

    # GIVEN everything built once
    first = everything()
    # WHEN it is built again, elsewhere and later
    monkeypatch.setattr(bundling, "BUILD", tmp_path / "again")
    # THEN not a byte differs
    assert everything() == first


def test_a_build_that_fails_leaves_nothing_behind(checkout: Path) -> None:
    (checkout / "functions" / "projects" / "service.py").write_text("def broken(:\n")
    with pytest.raises(RuntimeError, match="SyntaxError"):
        bundling.function_bundle("projects")
    assert not list((checkout / ".build").iterdir())


def test_builds_that_nobody_asked_for_since_yesterday_are_forgotten(checkout: Path) -> None:
    # GIVEN two builds of a function, one of them old
    edited = checkout / "functions" / "projects" / "service.py"
    builds = []
    for line in ("ONE = 1\n", "TWO = 2\n"):
        edited.write_text(line)
        builds.append(bundling.function_bundle("projects"))
    os.utime(builds[0], (0, 0))
    # WHEN a third is made
    edited.write_text("THREE = 3\n")
    builds.append(bundling.function_bundle("projects"))
    # THEN the old one is gone, and the young ones are there
    assert [build.exists() for build in builds] == [False, True, True]


def test_a_python_that_does_not_run_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shim = tmp_path / "python3.13"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    good = bundling.compiler()
    bundling.compiler.cache_clear()
    monkeypatch.setattr(bundling, "_pythons", lambda: iter([str(tmp_path / "absent"), str(shim), good]))
    assert bundling.compiler() == good
    monkeypatch.setattr(bundling, "_pythons", lambda: iter([str(shim)]))
    bundling.compiler.cache_clear()
    with pytest.raises(RuntimeError, match=r"uv python install 3\.13"):
        bundling.compiler()
    bundling.compiler.cache_clear()


def test_stripping_leaves_what_is_no_elf_file_alone(tmp_path: Path) -> None:
    text = tmp_path / "libnot.so.1"
    text.write_text("INPUT(libreal.so)")
    strip(text)
    assert text.read_text() == "INPUT(libreal.so)"


def test_a_stripped_library_still_loads_and_is_smaller_if_it_is_an_elf_file(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("_cffi_backend")
    assert spec
    assert spec.origin
    library = Path(shutil.copy(spec.origin, tmp_path))
    strip(library)
    whole = Path(spec.origin).read_bytes()
    assert (library.stat().st_size < len(whole)) == whole.startswith(b"\x7fELF")
    loaded = subprocess.run(
        [sys.executable, "-c", "import _cffi_backend as c; print(c.__file__)"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert loaded.stdout.strip() == str(library)
