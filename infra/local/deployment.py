"""A release deployed into the AWS emulator, as `cdk deploy --all` does it: assets, then stack by stack."""

import io
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import boto3
from botocore.exceptions import ClientError

from infra.bundling import HOST_PLATFORM
from infra.local.events import ACCOUNT, REGION
from infra.local.templates import Place, adapted, take_bodies

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
    gateway: Any = session.client("apigateway", endpoint_url=place.endpoint)
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
        template = adapted(template, replace(place, layers=folders))
        bodies = take_bodies(template)
        s3.put_object(Bucket=_ASSETS, Key=f"{name}.json", Body=json.dumps(template).encode())
        outputs |= _applied(formation, name, f"{place.endpoint}/{_ASSETS}/{name}.json")
        if bodies:
            found = formation.describe_stack_resources(StackName=name)["StackResources"]
            ids = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}
            for api, body in bodies.items():
                _serve(gateway, ids[api], release.environment, body, ids)
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


def _serve(gateway: Any, api: str, stage: str, body: dict[str, Any], ids: Mapping[str, str]) -> None:
    """Make the paths of an API those of `body`, and deploy them to its stage. `ids` are those of the stack's resources.

    https://docs.aws.amazon.com/apigateway/latest/api/API_PutRestApi.html (overwrite), which the emulator lacks.
    """
    pages = gateway.get_paginator("get_resources").paginate(restApiId=api, embed=["methods"])
    resources = [resource for page in pages for resource in page["items"]]
    there = {resource["path"]: resource["id"] for resource in resources}
    serving = {resource["path"]: _integrated(resource) for resource in resources}
    wanted = {"/"}
    for path, operations in body["paths"].items():
        at = "/"
        for part in filter(None, path.split("/")):
            above, at = at, f"{at.rstrip('/')}/{part}"
            wanted.add(at)
            if at not in there:
                there[at] = gateway.create_resource(restApiId=api, parentId=there[above], pathPart=part)["id"]
        integration = operations["x-amazon-apigateway-any-method"]["x-amazon-apigateway-integration"]
        uri = _resolved(integration["uri"], ids)
        if serving.get(at) == uri:
            continue
        method = {"restApiId": api, "resourceId": there[at], "httpMethod": "ANY"}
        if not serving.get(at):
            gateway.put_method(**method, authorizationType="NONE")
        gateway.put_integration(
            **method, type=integration["type"].upper(), integrationHttpMethod=integration["httpMethod"], uri=uri
        )
    for path in sorted(there.keys() - wanted):
        with suppress(gateway.exceptions.NotFoundException):  # gone with what is above it
            gateway.delete_resource(restApiId=api, resourceId=there[path])
    gateway.create_deployment(restApiId=api, stageName=stage)


def _integrated(resource: dict[str, Any]) -> str:
    """What a resource of an API invokes; "" while it is on the way to others only."""
    return str(resource.get("resourceMethods", {}).get("ANY", {}).get("methodIntegration", {}).get("uri", ""))


def _resolved(joined: dict[str, Any], ids: Mapping[str, str]) -> str:
    """The text that an Fn::Join of texts and references makes."""
    known = {"AWS::Partition": "aws", "AWS::Region": REGION, **ids}
    return "".join(part if isinstance(part, str) else known[part["Ref"]] for part in joined["Fn::Join"][1])
