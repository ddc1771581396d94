"""The folders that are uploaded: their size, their bytecode, and that they change only with their content."""

import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from functions.manifest import FUNCTIONS, Need, handler_path
from infra import bundling
from infra.local.postgres import free_port
from infra.slimming import strip

GATE_MB, GOAL_MB = 100, 60
HOST = {
    "Linux": f"{platform.machine()}-manylinux_2_28",
    "Darwin": f"{platform.machine().replace('arm64', 'aarch64')}-apple-darwin",
}

CHECK_BYTECODE = """
import importlib.util, json, marshal, pathlib, sys
faults, count = [], 0
for root, prefix in zip(sys.argv[1::2], sys.argv[2::2]):
    root = pathlib.Path(root)
    for compiled in root.rglob("*.pyc"):
        count += 1
        content = compiled.read_bytes()
        if content[:4] != importlib.util.MAGIC_NUMBER or int.from_bytes(content[4:8], "little") != 1:
            faults.append(f"{compiled}: not an unchecked hash of this Python")
        if not marshal.loads(content[16:]).co_filename.startswith(prefix):
            faults.append(f"{compiled}: names a path of the machine that built it")
    for source in root.rglob("*.py"):
        compiled = pathlib.Path(importlib.util.cache_from_source(source))
        if not compiled.exists() or compiled.read_bytes()[8:16] != importlib.util.source_hash(source.read_bytes()):
            faults.append(f"{source}: no bytecode of this source")
print(json.dumps({"count": count, "faults": faults}))
"""

IMPORT_HANDLERS = """
import importlib, json, os, sys
layers, bundles, services = json.loads(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
site = [path for path in sys.path if "site-packages" in path]
assert not site, site
sys.path[:0] = layers
import boto3
for service in services:
    boto3.client(service)
found = {}
for bundle, handler in bundles:
    for name in [name for name in sys.modules if name.partition(".")[0] == "functions"]:
        del sys.modules[name]
    sys.path.insert(0, bundle)
    module, _, attribute = handler.rpartition(".")
    found[handler] = callable(getattr(importlib.import_module(module), attribute))
    assert sys.modules[module].__file__.startswith(bundle)
    sys.path.remove(bundle)
import email_validator, fastapi, phonenumbers, pygal, pywebpush
email_validator.validate_email("someone@example.org", check_deliverability=False)
assert phonenumbers.is_valid_number(phonenumbers.parse("+442079460958"))
assert b"<rect" in pygal.StackedBar(js=()).add("", [1]).render()
pywebpush.requests.Session().close()
assert fastapi.__file__.startswith(layers[0])
print(json.dumps(found))
"""


def digest(folder: Path) -> str:
    """Of names and contents, as CDK's own."""
    content = hashlib.sha256()
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content.update(f"{file.relative_to(folder)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return content.hexdigest()


def size_mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def bundles() -> dict[str, str]:
    return {name: digest(bundling.function_bundle(name)) for name in FUNCTIONS}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code, and a folder for builds that is empty."""
    for folder in ("functions", "layers/shared", "docs"):
        shutil.copytree(bundling.ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, value in {"ROOT": tmp_path, "BUILD": tmp_path / ".build", "SHARED": tmp_path / "layers/shared"}.items():
        monkeypatch.setattr(bundling, name, value)
    return tmp_path


def test_the_layers_with_their_bytecode_are_small() -> None:
    size = size_mb(bundling.dependencies_layer()) + size_mb(bundling.shared_layer())
    assert size < GATE_MB
    print(f"layers: {size:.1f} MB, goal {GOAL_MB}")


def test_all_bytecode_is_what_pythons_own_3_13_loads_without_a_look_at_the_source() -> None:
    arguments = []
    for folder in (bundling.dependencies_layer(), bundling.shared_layer()):
        arguments += [str(folder), "/opt/python/"]
    for name in FUNCTIONS:
        arguments += [str(bundling.function_bundle(name)), "/var/task/"]
    checked = subprocess.run(
        [bundling.compiler(), "-c", CHECK_BYTECODE, *arguments], capture_output=True, text=True, check=True
    )
    answer = json.loads(checked.stdout)
    assert answer["faults"] == []
    assert answer["count"] > 1000


def test_the_layer_holds_what_every_function_imports(tmp_path: Path) -> None:
    # GIVEN the same layer built for this machine, and nothing else on the path
    layers = [str(bundling.dependencies_layer(HOST[platform.system()]) / "python")]
    layers.append(str(bundling.shared_layer() / "python"))
    paths = {name: f"functions.{name}.handler.handler" for name in FUNCTIONS}
    assert {name for name, path in paths.items() if path != handler_path(name)} == {"ai"}
    pairs = [(str(bundling.function_bundle(name)), paths[name]) for name in FUNCTIONS]
    services = sorted({"sqs", *bundling.AWS_SERVICES.values()})
    # WHEN every handler is imported from its bundle
    imported = subprocess.run(
        [
            *(bundling.compiler(), "-I", "-S", "-c", IMPORT_HANDLERS),
            *(json.dumps(layers), json.dumps(pairs), json.dumps(services)),
        ],
        env={
            "ENVIRONMENT": "test",
            "AWS_REGION": "eu-west-1",
            "AWS_DEFAULT_REGION": "eu-west-1",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    # THEN each is there to be called
    assert imported.returncode == 0, imported.stderr
    assert json.loads(imported.stdout) == dict.fromkeys(paths.values(), True)


def test_what_streams_is_served_by_its_script_from_its_bundle_and_the_layers_alone(tmp_path: Path) -> None:
    # GIVEN the bundle and the layers of this machine, WHEN the script is started as the web adapter starts it
    port, bundle = free_port(), bundling.function_bundle("ai")
    layers = (bundling.dependencies_layer(HOST[platform.system()]), bundling.shared_layer())
    (tmp_path / "python").symlink_to(bundling.compiler())
    server = subprocess.Popen(
        [bundle / handler_path("ai")],
        env={
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "PYTHONPATH": ":".join(str(layer / "python") for layer in layers),
            "LAMBDA_TASK_ROOT": str(bundle),
            "LAMBDA_RUNTIME_DIR": "/var/runtime",
            "AWS_LWA_PORT": str(port),
            "ENVIRONMENT": "test",
            "AWS_REGION": "eu-west-1",
        },
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        # THEN it answers, with API Gateway's context from the adapter's header
        context = {"requestId": "r-1", "identity": {"sourceIp": "192.0.2.1"}, "path": "/dev/api/v1/ai/nothing"}
        answer = _when_it_listens(
            f"http://127.0.0.1:{port}/api/v1/ai/nothing", {"x-amzn-request-context": json.dumps(context)}
        )
    finally:
        server.terminate()
        server.wait(10)
    assert (answer.status_code, answer.headers["x-request-id"], answer.json()["instance"]) == (404, "r-1", "r-1")
    assert "server" not in answer.headers


def _when_it_listens(url: str, headers: dict[str, str]) -> requests.Response:
    deadline = time.monotonic() + 60
    while True:
        try:
            return requests.get(url, headers=headers, timeout=10)
        except requests.ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


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
    before, shared = bundles(), digest(bundling.shared_layer())
    with (checkout / "functions" / "projects" / "service.py").open("a") as code:
        code.write("\nEDITED = True\n")
    after = bundles()
    assert {name for name in FUNCTIONS if before[name] != after[name]} == {"projects"}
    assert digest(bundling.shared_layer()) == shared


def test_what_is_built_twice_from_nothing_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def everything() -> list[str]:
        return [*bundles().values(), digest(bundling.shared_layer()), digest(bundling.dependencies_layer())]

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
