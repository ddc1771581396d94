"""What `cdk deploy` would upload, taken from a synthesis and looked through as it is."""

import base64
import hashlib
import importlib.metadata
import json
import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from functions.manifest import FUNCTIONS
from infra import bundling
from tests.infra.conftest import Synthesised, asset_hash
from tests.infra.sandbox import native

GATE_MB, GOAL_MB = 100, 60
"""Of the layers, unzipped with their bytecode."""
LAMBDA_BYTES = 250 * 1024 * 1024
"""Of a function with its layers, unzipped: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html.
The 50 MB of zipped code are for uploads that do not go through S3, as CDK's do."""
ADAPTER_BYTES = 20 * 1024 * 1024
"""Set aside for the web adapter's layer, which is AWS's own and not here to be measured."""

# What is uploaded


def test_what_is_uploaded_is_byte_for_byte_what_was_built(env: Synthesised) -> None:
    # GIVEN what was built, and CDK's hashes of its content
    built = {
        "Dependencies": bundling.dependencies_layer(),
        "Shared": bundling.shared_layer(),
        **{name: bundling.function_bundle(name) for name in FUNCTIONS},
    }
    content = {name: asset_hash(folder) for name, folder in built.items()}
    # THEN in both environments all that is uploaded has this content, and is named by it
    uploads = env.uploads()
    assert {name: folder.name for name, folder in uploads.items()} == {
        name: f"asset.{known}" for name, known in content.items()
    }
    assert {name: asset_hash(folder) for name, folder in uploads.items()} == content


def test_every_function_has_both_layers_and_is_told_of_files_that_are_there(env: Synthesised) -> None:
    layers = env.layers()
    for name, properties in env.functions().items():
        ours = [layer["Ref"] for layer in properties["Layers"] if "Ref" in layer]
        assert set(ours) == set(layers), f"{name} lacks a layer: {ours}"
        told = properties["Environment"]["Variables"].values()
        files = [value for value in told if isinstance(value, str) and value.startswith("/opt/")]
        for file in files:
            if file == "/opt/bootstrap":  # the web adapter's
                assert len(properties["Layers"]) > len(ours)
            else:
                found = [layer for layer in layers.values() if (layer / file.removeprefix("/opt/")).is_file()]
                assert found, f"{name} is told of {file}, which no layer has"


# Native code

_E_MACHINE = {62: "x86_64", 183: "aarch64"}
_ABI = re.compile(r"\.(cpython-313-aarch64-linux-gnu|abi3)\.so$")
_NEWEST_GLIBC = 34  # 2.34: Amazon Linux 2023's


def foreign(file: str, content: bytes) -> str | None:
    """Why Lambda's Python 3.13 on arm64 cannot load a library of this path; None when it can."""
    if content[:6] != b"\x7fELF\x02\x01":
        return "is no 64-bit little-endian ELF file"
    (machine,) = struct.unpack_from("<H", content, 18)
    if machine != 183:
        return f"is for {_E_MACHINE.get(machine, machine)}, not aarch64"
    shared = Path(file).parent.name.endswith(".libs")  # what wheels bring for their own modules, whatever Python
    if not shared and not _ABI.search(file):
        return "is no module for CPython 3.13 on aarch64, or its stable ABI"
    newest = max((int(minor) for minor in re.findall(rb"GLIBC_2\.(\d+)", content)), default=0)
    return f"needs glibc 2.{newest}, and Lambda has 2.{_NEWEST_GLIBC}" if newest > _NEWEST_GLIBC else None


def test_all_native_code_is_for_pythons_3_13_on_arm64(uploaded: dict[str, Path]) -> None:
    found = {name: native(folder) for name, folder in uploaded.items()}
    assert len(found.pop("Dependencies")) > 10
    assert not any(found.values()), f"Native code is the dependencies' alone: {found}"
    files = native(uploaded["Dependencies"])
    faults = {file: fault for file, path in files.items() if (fault := foreign(file, path.read_bytes()))}
    assert faults == {}


@pytest.mark.parametrize(
    ("file", "machine", "needs", "fault"),
    [
        ("a/b.cpython-313-aarch64-linux-gnu.so", 183, b"GLIBC_2.28", None),
        ("a/b.abi3.so", 183, b"GLIBC_2.34", None),
        ("a.libs/libb-0123abcd.so.3", 183, b"", None),
        ("a/b.abi3.so", 62, b"", "x86_64"),
        ("a/b.cpython-312-aarch64-linux-gnu.so", 183, b"", "CPython 3.13"),
        ("a/b.cpython-313-aarch64-linux-musl.so", 183, b"", "CPython 3.13"),
        ("a/b.abi3.so", 183, b"GLIBC_2.17\0GLIBC_2.38", "2.38"),
    ],
)
def test_a_library_that_lambda_cannot_load_is_told_from_one_it_can(
    file: str, machine: int, needs: bytes, fault: str | None
) -> None:
    content = b"\x7fELF\x02\x01".ljust(18, b"\0") + struct.pack("<H", machine) + needs
    found = foreign(file, content)
    assert found is None if fault is None else fault in str(found)


def test_what_runs_here_has_the_same_native_code_as_what_is_deployed(uploaded: dict[str, Path]) -> None:
    # Or the tests below would show nothing of a library that is missing from the layer for arm64.
    def modules(folder: Path) -> set[str]:
        return {file.partition(".")[0] for file in native(folder) if ".libs/" not in file}

    assert modules(bundling.dependencies_layer(bundling.HOST_PLATFORM)) == modules(uploaded["Dependencies"])


# Bytecode

_CHECK_BYTECODE = """
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


def test_all_bytecode_is_what_pythons_own_3_13_loads_without_a_look_at_the_source(
    uploaded: dict[str, Path],
) -> None:
    arguments = []
    for name, folder in uploaded.items():
        arguments += [str(folder), "/var/task/" if name in FUNCTIONS else "/opt/python/"]
    checked = subprocess.run(
        [bundling.compiler(), "-c", _CHECK_BYTECODE, *arguments], capture_output=True, text=True, check=True
    )
    answer = json.loads(checked.stdout)
    assert answer["faults"] == []
    assert answer["count"] > 1000


# What must not be uploaded

_UNWANTED = {
    "a test": re.compile(r"(^|/)(tests?|testing)/|(^|/)(test_[^/]*|conftest|pytest_plugin)\.pyc?$"),
    "a cache": re.compile(r"(^|/)\.?(pytest|mypy|ruff|import_linter|hypothesis)_cache/"),
    "hidden": re.compile(r"(^|/)\."),
    "for development": re.compile(r"(^|/)(bin|node_modules)/|\.(pyi?[xd]|c|h|so\.debug|map|log|lock|orig|rej|swp)$"),
    "a secret": re.compile(
        r"\.(pem|key|p8|p12|pfx|jks|kdbx|env|token|sqlite3?|db|dump)$"
        r"|(^|/)(id_(rsa|ed25519)|(secrets?|credentials)(\.(json|ya?ml|toml|ini|txt))?)$"
    ),
}
_CERTIFICATES = {"rds-global-bundle.pem", "python/certifi/cacert.pem"}
"""Public ones: of authorities."""
_OURS = re.compile(r"\.(py|pyc|typed|html|css|jinja|mako|txt)$|(^|/)run\.sh$")
"""What our own code is made of, beside the files that the manifest says a function `ships`."""

_SECRETS = {
    "a private key": re.compile(rb"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?:\\r|\\n|\s)+[A-Za-z0-9+/=]{32}"),
    "a key of AWS": re.compile(rb"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    "a token of GitHub": re.compile(rb"\b(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{40})"),
    "a token of Slack": re.compile(rb"\bxox[abprs]-[A-Za-z0-9-]{20}"),
    "a key of Stripe or OpenAI": re.compile(rb"\bsk[-_](?:live_|proj-)[A-Za-z0-9_-]{20}"),
    "a database's password": re.compile(
        rb"postgres(?:ql)?(?:\+\w+)?://[\w.-]+:(?!password@)[^\s:@/{}<>*%$]{6,}@[\w.-]+"
    ),
}


def unwanted(file: str, content: bytes, *, ours: bool) -> str | None:
    """Why a file of this path must not be uploaded; None when it may be. `ours` are functions and what they share."""
    if file not in _CERTIFICATES:
        for what, pattern in _UNWANTED.items():
            if pattern.search(file):
                return f"is {what}"
    if ours and not _OURS.search(file):
        return "is nothing that our code is made of"
    return next((f"holds {what}" for what, pattern in _SECRETS.items() if pattern.search(content)), None)


def test_no_tests_caches_or_secrets_are_uploaded(uploaded: dict[str, Path]) -> None:
    faults = {}
    for name, folder in uploaded.items():
        ships = FUNCTIONS[name].ships if name in FUNCTIONS else ()
        for path in folder.rglob("*"):
            file = str(path.relative_to(folder))
            ours = name != "Dependencies" and file not in ships
            if path.is_file() and (fault := unwanted(file, path.read_bytes(), ours=ours)):
                faults[f"{name}: {file}"] = fault
    assert faults == {}


@pytest.mark.parametrize(
    ("file", "content", "fault"),
    [
        ("functions/auth/service.py", b"PEM = '-----BEGIN PRIVATE KEY-----'", None),
        ("functions/auth/templates/verify.html", b"<html>", None),
        ("functions/auth/.env", b"", "hidden"),
        ("functions/auth/prod.env", b"", "a secret"),
        ("functions/auth/signing.pem", b"", "a secret"),
        ("functions/auth/clients.json", b"{}", "nothing that our code"),
        ("functions/auth/test_service.py", b"", "a test"),
        ("functions/auth/tests/data.txt", b"", "a test"),
        ("functions/auth/.pytest_cache/README.md", b"", "a cache"),
        (
            "functions/auth/keys.py",
            b'K = "-----BEGIN EC PRIVATE KEY-----\\nMHcCAQEEIIrYSSNQFaA2Hwf1duRSxKtLYX5C',
            "private",
        ),
        ("functions/auth/aws.py", b"KEY = 'AKIAIOSFODNN7EXAMPLE'", "AWS"),
        ("functions/auth/db.py", b"URL = 'postgresql://app:hunter2hunter2@db.example.com/q'", "password"),
    ],
)
def test_what_must_not_be_uploaded_is_told_from_what_may(file: str, content: bytes, fault: str | None) -> None:
    found = unwanted(file, content, ours=True)
    assert found is None if fault is None else fault in str(found)


def test_the_certificate_authorities_trusted_are_those_that_certifi_published(uploaded: dict[str, Path]) -> None:
    # Some machines add the authority of their proxy to every bundle they find; functions would trust it.
    shipped = (uploaded["Dependencies"] / "python/certifi/cacert.pem").read_bytes()
    published = next(f for f in importlib.metadata.files("certifi") or () if f.name == "cacert.pem").hash
    assert published
    assert base64.urlsafe_b64encode(hashlib.sha256(shipped).digest()).rstrip(b"=").decode() == published.value


# How large it is


def test_all_is_within_lambdas_limits_and_the_layers_are_small(
    uploaded: dict[str, Path], zipped: dict[str, Path], record_property: Callable[[str, object], None]
) -> None:
    sizes = {
        name: sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        for name, folder in uploaded.items()
    }
    for name, size in sizes.items():
        print(f"{name:<22}{size / 1e6:7.2f} MB, zipped {zipped[name].stat().st_size / 1e6:6.2f} MB")
    layers = sizes["Dependencies"] + sizes["Shared"]
    functions = {name: sizes[name] for name in FUNCTIONS}
    largest = max(functions, key=functions.__getitem__)
    record_property(
        "measured",
        f"layers {layers / 1e6:.1f} MB (gate {GATE_MB}, goal {GOAL_MB}), "
        f"zipped {(zipped['Dependencies'].stat().st_size + zipped['Shared'].stat().st_size) / 1e6:.1f} MB; "
        f"{len(functions)} functions {sum(functions.values()) / 1e6:.1f} MB, "
        f"the largest {largest}, {functions[largest] / 1e6:.2f} MB",
    )
    assert layers < GATE_MB * 1e6, f"The layers have {layers / 1e6:.1f} MB"
    for name, size in functions.items():
        whole = layers + size + ADAPTER_BYTES * FUNCTIONS[name].streams
        assert whole < LAMBDA_BYTES, f"{name} has {whole / 1e6:.1f} MB with its layers, and Lambda takes 262.1 MB"
