"""Shared by unit and integration tests: a real PostgreSQL, AWS by moto in-process, real events into real handlers."""

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from infra.local.postgres import Postgres
from tests.e2e.stand import Stand
from tests.support.api import DEPLOYED, Api

os.environ.update(
    ENVIRONMENT="test",
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_REGION="us-east-1",
    FILES_BUCKET="quintet-files",
    SEALING_KEY_ID="alias/quintet-sealing",
    ARCHIVE_BUCKET="quintet-archive",
    TOKEN_SECRET_ID="quintet/tokens",
    PUSH_SECRET_ID="quintet/push",
    OAUTH_CLIENTS_SECRET_ID="quintet/oauth-clients",
    API_URL="http://127.0.0.1:8000/api/v1",
    REALTIME_ENDPOINT="http://127.0.0.1:8000/realtime",
    EMAIL_FROM="Quintet <no-reply@quintet.example>",
    DATABASE_POOL_SIZE="10",
    CORS_ORIGINS="https://app.example.com",
    WEBHOOKS_ALLOW_PRIVATE="true",
    AI_PROVIDER="offline",
    MOTO_SQS_ENFORCE_STRICT_QUEUE_PURGE_BEHAVIOUR="false",  # more than once a minute
)

settings.register_profile("any machine", deadline=None)  # a slow one alone fails nothing
settings.load_profile("any machine")


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """A worker is given a whole file, so that what it needs is set up once; of `infra` all, which share templates."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "tests/infra" if file.startswith("tests/infra/") else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> ByFile:
    """How xdist shares the tests out. (Its groups do nothing under pytest 9.2: pytest-xdist issue 1386.)"""
    return ByFile(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what tests have measured: `record_property("measured", ...)`."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    for report in reports:
        for name, value in report.user_properties:
            if name == "measured":
                terminalreporter.write_line(f"Measured: {value}")


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """One server for the whole run (per worker), fast and forgetful."""
    folder = tmp_path_factory.mktemp("postgres")
    options = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    with Postgres(folder / "data", options=options) as server:
        yield server
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def aws() -> Iterator[None]:
    """S3, SQS, SES and Secrets Manager in this process, with what the manifest names."""
    import boto3
    from moto import mock_aws

    from functions.manifest import QUEUES

    with mock_aws():
        s3, sqs = boto3.client("s3"), boto3.client("sqs")
        for bucket in (os.environ["FILES_BUCKET"], os.environ["ARCHIVE_BUCKET"]):
            s3.create_bucket(Bucket=bucket)
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for queue in QUEUES:
            os.environ[f"{queue.upper()}_QUEUE_URL"] = sqs.create_queue(QueueName=queue)["QueueUrl"]
        for secret in (os.environ["TOKEN_SECRET_ID"], os.environ["PUSH_SECRET_ID"]):
            boto3.client("secretsmanager").create_secret(Name=secret, SecretString=secrets.token_urlsafe(48))
        boto3.client("secretsmanager").create_secret(Name=os.environ["OAUTH_CLIENTS_SECRET_ID"], SecretString="{}")
        boto3.client("sesv2").create_email_identity(EmailIdentity="quintet.example")
        kms = boto3.client("kms")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName=os.environ["SEALING_KEY_ID"], TargetKeyId=key)
        yield


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Postgres | None]:
    """Database migrated, queues and buckets there, settings read; the server. Or what is deployed, and None."""
    from infra.local.invocation import invoke
    from quintet.config import settings

    if DEPLOYED:
        os.environ.update(Stand(Path(), url=DEPLOYED).running().environment)
        settings.cache_clear()
        postgres = None
    else:
        request.getfixturevalue("aws")
        postgres = request.getfixturevalue("postgres")
        os.environ["DATABASE_URL"] = postgres.app_url
        os.environ["DATABASE_OWNER_URL"] = postgres.owner_url
        settings.cache_clear()
        invoke("db_migrator", {})
    yield postgres
    from quintet.db.engine import engine, owner_engine

    engine().dispose()
    owner_engine().dispose()


@pytest.fixture
def api(stack: None) -> Api:
    """A client of the API that nobody has signed in with; each comes from an address of its own."""
    return Api()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return Path(__file__).parents[1]
