"""A release deployed into the AWS emulator, as `cdk deploy --all` does it: assets, then stack by stack."""

import io
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.exceptions import ClientError

from infra.bundling import HOST_PLATFORM
from infra.local.events import ACCOUNT, REGION
from infra.local.templates import Place, adapted

STACKS = ("data", "service")
"""In the order in which they are deployed."""

_ASSETS = f"cdk-hnb659fds-assets-{ACCOUNT}-{REGION}"
_BOOTSTRAP_VERSION = "/cdk-bootstrap/hnb659fds/version"
_DEPENDENCIES = "Dependencies/Code"
_PATIENCE = 300.0  # seconds


class DeploymentError(RuntimeError):
    """A release could not be synthesised, or a stack not be deployed; the message says which resource, and why."""


@dataclass(frozen=True, slots=True)
class Release:
    """One environment's synthesised stacks, and its dependencies built for this machine instead of Lambda's."""

    environment: str
    assembly: Path
    dependencies: Path

    @classmethod
    def read(cls, text: str) -> Self:
        """What `write` has written."""
        environment, assembly, dependencies = json.loads(text)
        return cls(environment, Path(assembly), Path(dependencies))

    def write(self) -> str:
        """As text, for another process."""
        return json.dumps([self.environment, str(self.assembly), str(self.dependencies)])

    def stack_name(self, stack: str) -> str:
        """What CloudFormation calls it."""
        return f"quintet-{self.environment}-{stack}"


def synthesise(checkout: Path, environment: str, assembly: Path) -> Release:
    """What the code in `checkout` would deploy, by the command that `make synth` runs; `assembly` is filled."""

    def run(*arguments: str) -> str:
        path = os.pathsep.join([str(checkout / "layers/shared/python"), str(checkout)])
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": path, "CDK_OUTDIR": str(assembly)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DeploymentError(f"{checkout} cannot be synthesised:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    run("-m", "infra.app", "-c", f"env={environment}")
    build = f"from infra import bundling; print(bundling.dependencies_layer({HOST_PLATFORM!r}))"
    # As a copy, since functions will run from it: what is built stays as it is.
    dependencies = shutil.copytree(run("-c", build), assembly / "dependencies")
    return Release(environment, assembly, Path(dependencies))


def deploy(release: Release, place: Place) -> dict[str, str]:
    """Create the stacks, or update those that are there; answers the outputs of both."""
    session = boto3.Session("test", "test", region_name=REGION)
    s3: Any = session.client("s3", endpoint_url=place.endpoint)
    ssm: Any = session.client("ssm", endpoint_url=place.endpoint)
    formation: Any = session.client("cloudformation", endpoint_url=place.endpoint)
    # What `cdk bootstrap` makes of an account.
    s3.create_bucket(Bucket=_ASSETS)
    ssm.put_parameter(Name=_BOOTSTRAP_VERSION, Value="30", Type="String", Overwrite=True)
    outputs: dict[str, str] = {}
    for name in map(release.stack_name, STACKS):
        folders = dict(_assets(release, name))
        for key, folder in folders.items():
            s3.put_object(Bucket=_ASSETS, Key=key, Body=_zipped(folder))
        template = json.loads((release.assembly / f"{name}.template.json").read_text())
        body = json.dumps(adapted(template, replace(place, layers=folders)))
        s3.put_object(Bucket=_ASSETS, Key=f"{name}.json", Body=body.encode())
        outputs |= _applied(formation, name, f"{place.endpoint}/{_ASSETS}/{name}.json")
    return outputs


def _assets(release: Release, stack: str) -> Iterator[tuple[str, Path]]:
    """The key of each folder that is uploaded, and the folder."""
    files: dict[str, Any] = json.loads((release.assembly / f"{stack}.assets.json").read_text())["files"]
    for file in files.values():
        if file["source"]["packaging"] == "zip":
            [destination] = file["destinations"].values()
            here = file["displayName"] == _DEPENDENCIES
            yield destination["objectKey"], release.dependencies if here else release.assembly / file["source"]["path"]


def _zipped(folder: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.write(file, file.relative_to(folder))
    return content.getvalue()


def _applied(formation: Any, name: str, template: str) -> dict[str, str]:
    """Have CloudFormation make a stack what its template says; answers its outputs."""
    try:
        formation.describe_stacks(StackName=name)
        change = formation.update_stack
    except ClientError:
        change = formation.create_stack
    try:
        change(StackName=name, TemplateURL=template, Capabilities=["CAPABILITY_NAMED_IAM"])
    except ClientError as error:
        if "No updates" not in str(error):
            raise
    deadline = time.monotonic() + _PATIENCE
    while (stack := formation.describe_stacks(StackName=name)["Stacks"][0])["StackStatus"].endswith("_IN_PROGRESS"):
        if time.monotonic() > deadline:
            raise DeploymentError(f"{name} is still {stack['StackStatus']} after {_PATIENCE:.0f} s.")
        time.sleep(0.1)
    if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        failed = [
            f"  {event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
            for event in formation.describe_stack_events(StackName=name)["StackEvents"]
            if event["ResourceStatus"].endswith("_FAILED")
        ]
        raise DeploymentError("\n".join([f"{name} is {stack['StackStatus']}:", *failed]))
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
