"""The environment, read once, when first asked for, and typed.

`infra/` sets these variables for each function from its `needs`; `infra/local` sets them for the laptop.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import Any, Literal, Self, get_args

Environment = Literal["local", "test", "dev", "prod"]
AiProvider = Literal["offline", "openai", "bedrock"]

_PARSERS: dict[type, Callable[[str], Any]] = {
    str: str,
    int: int,
    bool: lambda text: {"true": True, "1": True, "false": False, "0": False, "": False}[text.lower()],
    tuple: lambda text: tuple(part.strip() for part in text.split(",") if part.strip()),
}
_QUEUE_URL = "_QUEUE_URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A field is the variable of the same name in capitals; one that a function has no need of is empty.

    A dataclass, since consumers have no other use for pydantic, which takes 30 ms of a cold start.
    """

    environment: Environment = "local"

    database_url: str = ""
    """A libpq URL. Empty on AWS, where the parts below are given and the password is an IAM token."""
    database_owner_url: str = ""
    database_secret_id: str = ""
    """The owner's credentials in Secrets Manager, for migrations and partitions."""
    database_host: str = ""
    database_port: int = 5432
    database_name: str = "quintet"
    database_user: str = "quintet_app"
    database_sslrootcert: str = ""
    """A CA bundle; empty means certifi's, which knows the proxy's certificate."""
    database_pool_size: int = 1

    import_lease_seconds: int = 60
    """How long an import that shows no sign of life is left alone."""

    integration_lease_seconds: int = 150
    """The same of an integration that is fetched from, and of a request to it: more than one call with its retries."""
    integration_look_seconds: int = 10
    """Until a job that a service works on is first looked at."""

    webhooks_allow_private: bool = False
    """Lets webhooks have http: addresses and private ones, on one machine and in tests alone."""

    ai_provider: AiProvider = "offline"
    """Who answers for the assistant: nobody, a server that speaks OpenAI's chat completions, Amazon Bedrock."""
    ai_model: str = ""
    ai_base_url: str = ""
    """Of an OpenAI-compatible server: `https://api.openai.com/v1`, `http://localhost:11434/v1`."""
    ai_api_key: str = ""
    ai_secret_id: str = ""
    """The key in Secrets Manager, where that has it."""
    ai_max_tokens: int = 2_000
    """Of one answer."""
    ai_tokens_per_day: int = 200_000
    """Of one person."""

    files_bucket: str = ""
    archive_bucket: str = ""
    token_secret_id: str = ""
    push_secret_id: str = ""
    sealing_key_id: str = ""
    """The key of KMS that secrets of integrations are sealed by."""
    meshy_api_url: str = "https://api.meshy.ai"
    video_api_url: str = "https://api.lumalabs.ai"
    """Where the APIs of services with keys are; those of OAuth providers are with what we are to them."""
    oauth_clients_secret_id: str = ""
    """What we are to the providers people sign in with and connect to (`quintet.oauth.providers`)."""
    push_services: tuple[str, ...] = (
        "fcm.googleapis.com",
        "updates.push.services.mozilla.com",
        "*.push.apple.com",
        "*.notify.windows.com",
    )
    """Hosts of the push services that browsers use (`*` stands for one name or more): we send to no others."""
    queue_urls: Mapping[str, str] = field(default_factory=dict)
    """From every `<NAME>_QUEUE_URL`: queue name -> URL."""

    email_from: str = "Quintet <no-reply@quintet.example>"
    ses_configuration_set: str = ""
    api_url: str = ""
    """The API's public address with its stage, no slash at the end; for links in emails."""
    realtime_endpoint: str = ""
    """Where the WebSocket API takes frames for its clients: `https://`, host and stage. They connect to `wss://`."""
    cors_origins: tuple[str, ...] = ()
    client_address_header: str = ""
    """The header in which a CDN says whose a request is. Set only where nobody gets past the CDN."""
    public_host_header: str = ""
    """The header in which it says under which name people reach the API. Set as the one before."""
    same_site_cookies: bool = False
    """True when the front ends share the API's registrable domain: the refresh cookie is then SameSite=Strict."""
    sentry_dsn: str = ""

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Self:
        """What `variables` say; ValueError names the one that makes no sense."""
        given: dict[str, Any] = {}
        for known in fields(cls):
            name = known.name.upper()
            if name in variables:
                try:
                    given[known.name] = _PARSERS[type(known.default)](variables[name])
                except (ValueError, KeyError):
                    raise ValueError(f"{name} is not {type(known.default).__name__}: {variables[name]!r}") from None
        queues = {k.removesuffix(_QUEUE_URL).lower(): v for k, v in variables.items() if k.endswith(_QUEUE_URL)}
        read = cls(**given, queue_urls=queues)
        if read.environment not in get_args(Environment) or read.database_pool_size < 1:
            raise ValueError(f"ENVIRONMENT={read.environment}, DATABASE_POOL_SIZE={read.database_pool_size}")
        if read.ai_provider not in get_args(AiProvider):
            raise ValueError(f"AI_PROVIDER={read.ai_provider}")
        return read


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings. `settings.cache_clear()` makes a changed environment count."""
    return Settings.read(os.environ)
