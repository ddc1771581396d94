"""What the functions find in their environment on one machine: the contract of `quintet.config`."""

import os
from urllib.parse import quote, urlsplit, urlunsplit

from functions.manifest import QUEUES
from infra.local.events import ACCOUNT, REGION
from infra.local.postgres import APP_ROLE
from infra.local.sockets import PATH as SOCKETS
from infra.local.state import without_proxies

FILES_BUCKET = "quintet-files"
ARCHIVE_BUCKET = "quintet-archive"
TOKEN_SECRET = "quintet/token"
PUSH_SECRET = "quintet/push"
SEALING_KEY = "alias/quintet-sealing"
OAUTH_CLIENTS = "quintet/oauth-clients"
THREADS = 40
"""API requests served at once; each may hold a connection."""

_FRONT_ENDS = ",".join(f"http://{host}:{port}" for host in ("localhost", "127.0.0.1") for port in (3000, 5173))


def variables(*, owner_url: str, app_url: str, endpoint: str, url: str) -> dict[str, str]:
    """The environment of every function. `endpoint` is the AWS emulator's address, `url` the gateway's.

    What the caller's own environment says about origins, sender and Sentry counts; no AWS setting of it does.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    defaults = {"CORS_ORIGINS": _FRONT_ENDS, "POWERTOOLS_LOG_LEVEL": "INFO"}
    return without_proxies(defaults | inherited) | {
        "ENVIRONMENT": "local",
        "DATABASE_URL": app_url,
        "DATABASE_OWNER_URL": owner_url,
        "DATABASE_POOL_SIZE": str(THREADS + 20),
        "FILES_BUCKET": FILES_BUCKET,
        "ARCHIVE_BUCKET": ARCHIVE_BUCKET,
        "TOKEN_SECRET_ID": TOKEN_SECRET,
        "PUSH_SECRET_ID": PUSH_SECRET,
        "OAUTH_CLIENTS_SECRET_ID": OAUTH_CLIENTS,
        "SEALING_KEY_ID": SEALING_KEY,
        **{f"{queue.upper()}_QUEUE_URL": queue_url(endpoint, queue) for queue in QUEUES},
        "API_URL": url,
        "WEBHOOKS_ALLOW_PRIVATE": "true",  # a receiver on the same machine
        "REALTIME_ENDPOINT": f"{url}{SOCKETS}",
        **aws_variables(endpoint),
    }


def aws_variables(endpoint: str) -> dict[str, str]:
    """What has AWS's libraries and command line talk to the emulator, and to nobody else."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def queue_url(endpoint: str, queue: str) -> str:
    """The URL the emulator gives a queue."""
    return f"{endpoint}/{ACCOUNT}/{queue}"


def as_app_role(owner_url: str, password: str = "") -> str:
    """The same database as the role functions use."""
    parts = urlsplit(owner_url)
    host = parts.netloc.rpartition("@")[2]
    user = f"{APP_ROLE}:{quote(password, safe='')}" if password else APP_ROLE
    return urlunsplit(parts._replace(netloc=f"{user}@{host}"))
