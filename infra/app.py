"""CDK's entry: `python -m infra.app -c env=dev`, which is also what `cdk deploy` runs.

It needs no credentials and no CDK command line; a finding of cdk-nag makes it exit with 1.
"""

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import aws_cdk as cdk

from infra import nag
from infra.config import ENVIRONMENTS, Environment
from infra.data_stack import DataStack
from infra.service_stack import ServiceStack

_ROOT = Path(__file__).resolve().parents[1]


def new_app(outdir: str | None = None, context: Mapping[str, str] | None = None) -> cdk.App:
    """An empty app with the feature flags of `cdk.json`, which are there for the CDK command line too."""
    flags = json.loads((_ROOT / "cdk.json").read_text())["context"]
    return cdk.App(outdir=outdir, context={**flags, **(context or {})}, analytics_reporting=False)


def build(app: cdk.App, env: Environment) -> None:
    """Put the two stacks of `env` into `app`, and nag over them."""
    data = DataStack(app, f"{env.prefix}-data", env=env)
    ServiceStack(app, f"{env.prefix}-service", env=env, data=data)
    for key, value in {"project": "quintet", "environment": env.name}.items():
        # A proxy's target group has tags for CDK, but not in CloudFormation's schema.
        cdk.Tags.of(app).add(key, value, exclude_resource_types=["AWS::RDS::DBProxyTargetGroup"])
    nag.check(app)


def main() -> None:
    """Synthesise the environment named by `-c env=…`, given to us or to the CDK command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-c", "--context", action="append", default=[], metavar="key=value")
    context = dict(pair.split("=", 1) for pair in parser.parse_args().context)
    outdir = os.environ.get("CDK_OUTDIR", f"cdk.out/{context.get('env', '')}")
    app = new_app(outdir, context)
    env = ENVIRONMENTS.get(app.node.try_get_context("env"))
    if env is None:
        parser.error(f"choose an environment: -c env={'|'.join(ENVIRONMENTS)}")
    if app.node.try_get_context("cdn") == "true":  # to try it; what stays belongs into the config
        env = replace(env, cdn=True)
    build(app, env)
    app.synth()


if __name__ == "__main__":
    main()
