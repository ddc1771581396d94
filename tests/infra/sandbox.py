"""What `cdk deploy` would upload, unzipped as on Lambda, and run there by processes that find nothing else."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from functions.manifest import FUNCTIONS
from infra import bundling
from infra.local.environment import aws_variables, variables
from infra.local.services import Services, services
from infra.local.state import State

_NATIVE = re.compile(r"\.so(\.|$)|\.dylib$|\.pyd$|\.dll$")

_NOT_HERE = {"DATABASE_HOST": "", "DATABASE_SECRET_ID": "", "SES_CONFIGURATION_SET": ""}
"""What the database's URL stands in for, and what the emulator can do without."""

_PREPARE = "from infra.local.resources import prepare; from infra.local.state import State; prepare(State())"


def native(folder: Path) -> dict[str, Path]:
    """The native libraries below a folder, by their paths in it."""
    files = (file for file in folder.rglob("*") if file.is_file() and _NATIVE.search(file.name))
    return {str(file.relative_to(folder)): file for file in sorted(files)}


def unzip(archive: Path, target: Path) -> None:
    """As Lambda does. What one layer holds must not replace what another does."""
    with ZipFile(archive) as content:
        for member in content.infolist():
            assert not (target / member.filename).is_file(), f"{member.filename} is in two layers"
            content.extract(member, target)
            (target / member.filename).chmod(member.external_attr >> 16 & 0o777)


@dataclass(frozen=True)
class Invoked:
    """What a function answered to each event, and what it logged meanwhile."""

    events: Sequence[Any]
    answers: Sequence[Any]
    log: str


@dataclass(frozen=True)
class Sandbox:
    """Layers in `opt` and functions in `task`, unzipped; and what stands where RDS and AWS would."""

    folder: Path
    functions: Mapping[str, Mapping[str, Any]]
    """The template's."""
    known: Mapping[str, str]
    """What a function can be told here of what the templates only refer to."""
    services: Services

    @property
    def opt(self) -> Path:
        return self.folder / "opt"

    def task(self, name: str) -> Path:
        return self.folder / "task" / name

    @property
    def mailbox(self) -> Path:
        return self.folder / "state" / "mail"

    def environment(self, name: str) -> dict[str, str]:
        """What the template gives a function, what Lambda itself does, and where database and AWS are."""
        told = self.functions[name]["Environment"]["Variables"]
        unknown = {key for key, value in told.items() if not isinstance(value, str)} - self.known.keys()
        assert not unknown, f"{name} is told of {unknown}, which `infra.local.environment` does not know"
        given = {key: value if isinstance(value, str) else self.known[key] for key, value in told.items()}
        databases = {"DATABASE_USER": "DATABASE_URL", "DATABASE_SECRET_ID": "DATABASE_OWNER_URL"}
        return (
            given
            | {instead: self.known[instead] for key, instead in databases.items() if key in told}
            | aws_variables(self.services.endpoint)
            | {
                "AWS_LAMBDA_FUNCTION_NAME": self.functions[name]["FunctionName"],
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(self.functions[name]["MemorySize"]),
                "LAMBDA_TASK_ROOT": str(self.task(name)),
                "LAMBDA_RUNTIME_DIR": "/var/runtime",
                "LANG": "en_US.UTF-8",
                "PATH": "/usr/bin:/bin",
                "TZ": ":UTC",
            }
        )

    def invoke(self, name: str, events: Sequence[Any], *, handler: str = "", task: Path | None = None) -> Invoked:
        """Give a function events, in a process of its own that finds nothing but it and its layers.

        `handler` and `task` put other code in its place.
        """
        properties = self.functions[name]
        runtime = Path(__file__).with_name("lambda_runtime.py")
        task = task or self.task(name)
        ran = subprocess.run(
            [
                *(bundling.compiler(), "-I", "-S", "-B", runtime, self.opt, task),
                *(handler or properties["Handler"], str(properties["Timeout"])),
            ],
            input=json.dumps(events),
            env=self.environment(name),
            cwd=task,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if ran.returncode:
            raise AssertionError(f"{name} failed, alone with its layers:\n{ran.stderr[-4000:]}")
        return Invoked(events, json.loads(ran.stdout), ran.stderr[-4000:])


@contextmanager
def sandbox(folder: Path, zipped: Mapping[str, Path], functions: Mapping[str, Mapping[str, Any]]) -> Iterator[Sandbox]:
    """What is uploaded, unzipped into the empty `folder`; but of the dependencies' native code this machine's own."""
    for name in ("Dependencies", "Shared"):
        unzip(zipped[name], folder / "opt")
    for name in FUNCTIONS:
        unzip(zipped[name], folder / "task" / name)
    for library in native(folder / "opt").values():
        library.unlink()
    for file, library in native(bundling.dependencies_layer(bundling.HOST_PLATFORM)).items():
        (folder / "opt" / file).parent.mkdir(exist_ok=True)
        shutil.copy(library, folder / "opt" / file)
    state = State(folder / "state")
    with services(state) as beside:
        known = variables(
            owner_url=beside.owner_url,
            app_url=beside.app_url,
            endpoint=beside.endpoint,
            url="https://api.example.com/api/v1",
        )
        sender = functions["email_sender"]["Environment"]["Variables"]["EMAIL_FROM"]
        told = {"EMAIL_FROM": sender, "QUINTET_STATE": str(state.path), "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", _PREPARE], env=known | told, check=True)
        yield Sandbox(folder, functions, known | _NOT_HERE, beside)
