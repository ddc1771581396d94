"""The folders CDK uploads: two layers and one bundle per function, built without Docker for arm64 and Python 3.13.

Each is built once for the same inputs, into `.build/`, named by their hash; two builds from nothing are
byte for byte the same, so that an asset changes only when its content does.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from uv import find_uv_bin

from functions.manifest import FUNCTIONS, Need
from infra.slimming import slim

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / ".build"
PYTHON = "3.13"
LAMBDA_PLATFORM = "aarch64-manylinux_2_28"  # what Amazon Linux 2023 on Graviton can load
HOST_PLATFORM = {
    "Linux": f"{platform.machine()}-manylinux_2_28",
    "Darwin": f"{platform.machine().replace('arm64', 'aarch64')}-apple-darwin",
}.get(platform.system(), "")
"""This machine, where what is deployed is tried."""

LOCK = ROOT / "layers" / "dependencies" / "requirements.txt"
SHARED = ROOT / "layers" / "shared"
RDS_CERTIFICATES = ROOT / "infra" / "certificates" / "rds-global-bundle.pem"
RDS_CERTIFICATES_ON_LAMBDA = f"/opt/{RDS_CERTIFICATES.name}"

AWS_SERVICES: dict[Need, str] = {
    Need.DATABASE_OWNER: "secretsmanager",
    Need.TOKEN_SECRET: "secretsmanager",
    Need.TOKEN_SECRET_ROTATE: "secretsmanager",
    Need.FILES_LIST: "s3",
    Need.FILES_READ: "s3",
    Need.FILES_WRITE: "s3",
    Need.FILES_DELETE: "s3",
    Need.ARCHIVE_WRITE: "s3",
    Need.PUSH_SECRET: "secretsmanager",
    Need.SEALING: "kms",
    Need.UNSEALING: "kms",
    Need.OAUTH_CLIENTS: "secretsmanager",
    Need.SEND_EMAIL: "sesv2",
    Need.AI: "bedrock-runtime",
    Need.SOCKETS: "apigatewaymanagementapi",
}
"""The boto3 client that serves a need; the layer ships the models of these (and of SQS) and no others."""

_PURE = "http-ece"
"""The one package that has no wheel; it is Python alone, so that it can be built anywhere."""

_DAY_SECONDS = 86400

Build = Callable[[Path], None]


def dependencies_layer(target: str = LAMBDA_PLATFORM) -> Path:
    """The runtime lock installed for `target` (uv's name for it), and the certificates of RDS beside it."""
    needs = {need for function in FUNCTIONS.values() for need in function.needs}
    services = {"sqs"} | {AWS_SERVICES[need] for need in needs if need in AWS_SERVICES}

    def build(layer: Path) -> None:
        packages = layer / "python"
        _run(
            *(
                find_uv_bin(),
                "pip",
                "install",
                "--quiet",
                "--no-config",
                "--require-hashes",
                "--requirement",
                str(LOCK),
            ),
            *(
                "--python-platform",
                target,
                "--python-version",
                PYTHON,
                "--only-binary",
                ":all:",
                "--no-binary",
                _PURE,
            ),
            # Copies, since we change files that would otherwise be links into uv's cache.
            *("--link-mode", "copy", "--no-compile-bytecode", "--target", str(packages)),
        )
        slim(packages, aws_services=services)
        _compile(packages, "/opt/python", "-b")
        for source in packages.rglob("*.py"):
            source.unlink()  # a third of the layer, read only to print a traceback's lines
        shutil.copy(RDS_CERTIFICATES, layer)

    return _built(f"dependencies-{target}", [LOCK, RDS_CERTIFICATES], build, *sorted(services))


def shared_layer() -> Path:
    """The package `quintet`."""
    files = list(_sources(SHARED))

    def build(layer: Path) -> None:
        _copy(files, SHARED, layer)
        _compile(layer / "python", "/opt/python")

    return _built("shared", files, build)


def function_bundle(name: str) -> Path:
    """One function's own code: its folder, the manifest, what it `ships`, and no other function."""
    package = ROOT / "functions"
    files = [package / "__init__.py", package / "manifest.py", *_sources(package / name)]
    files += [ROOT / path for path in FUNCTIONS[name].ships]

    def build(bundle: Path) -> None:
        _copy(files, ROOT, bundle)
        _compile(bundle, "/var/task")

    return _built(name, files, build)


@lru_cache(maxsize=1)
def compiler() -> str:
    """A Python 3.13 that runs, to compile the bytecode Lambda's Python 3.13 will load; uv installs one if need be."""
    for candidate in _pythons():
        probe = "import sys; print('%d.%d' % sys.version_info[:2])"
        try:
            found = subprocess.run([candidate, "-c", probe], capture_output=True, text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            continue
        if found.returncode == 0 and found.stdout.strip() == PYTHON:
            return candidate
    raise RuntimeError(
        f"No Python {PYTHON} was found to compile the layers' bytecode, and uv could not install one. "
        f"Install it (`uv python install {PYTHON}`) and try again."
    )


def _pythons() -> Iterator[str]:
    yield sys.executable
    yield f"python{PYTHON}"
    yield from map(str, Path.home().glob(f".pyenv/versions/{PYTHON}*/bin/python{PYTHON}"))
    yield _uv_python("find")
    _uv_python("install")
    yield _uv_python("find")


def _uv_python(command: str) -> str:
    done = subprocess.run(
        [find_uv_bin(), "python", command, PYTHON], capture_output=True, text=True, timeout=300, check=False
    )
    return done.stdout.strip()


def _sources(folder: Path) -> Iterator[Path]:
    yield from sorted(p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)


def _copy(files: Iterable[Path], base: Path, target: Path) -> None:
    for file in files:
        copy = target / file.relative_to(base)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _compile(folder: Path, as_if_in: str, *options: str) -> None:
    """Compile every module; the bytecode is never checked against its source, whose times a deployment changes."""
    _run(
        *(compiler(), "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", *options),
        *("-s", str(folder), "-p", as_if_in, str(folder)),
    )


def _run(*command: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} … failed:\n{done.stdout}{done.stderr}")


def _built(name: str, files: Iterable[Path], build: Build, *more: str) -> Path:
    """The folder that `build` fills: whole or absent, whoever else builds it at the same time."""
    recipe = [Path(__file__), Path(__file__).with_name("slimming.py")]
    digest = hashlib.sha256(repr((compiler_version(), more)).encode())
    for file in (*recipe, *files):
        digest.update(os.path.relpath(file, ROOT).encode() + hashlib.sha256(file.read_bytes()).digest())
    target = BUILD / f"{name}-{digest.hexdigest()[:16]}"
    if not target.is_dir():
        BUILD.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
            folder = Path(scratch) / "built"
            folder.mkdir()
            build(folder)
            for path in folder.rglob("*"):
                path.chmod(0o755)  # whatever the umask here: on Lambda another user reads them
            try:
                folder.rename(target)
            except OSError:  # another process was quicker
                if not target.is_dir():
                    raise
        _forget_old(name)
    os.utime(target)
    return target


def _forget_old(name: str) -> None:
    """Remove builds of other content that nobody has asked for since yesterday."""
    for folder in BUILD.glob(f"{name}-{'[0-9a-f]' * 16}"):
        if time.time() - folder.stat().st_mtime > _DAY_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


@lru_cache(maxsize=1)
def compiler_version() -> str:
    """The exact version that compiles: a patch release may write other bytecode."""
    return subprocess.run([compiler(), "--version"], capture_output=True, text=True, check=True).stdout.strip()
