"""The environment, read once, when first asked for, and typed.

`infra/` sets these variables for each function from its `needs`; `infra/local` sets them for the laptop.
"""

import os
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _split(value: str | list[str]) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Settings(BaseModel):
    """A field is the variable of the same name in capitals; one that a function has no need of is empty."""

    model_config = ConfigDict(frozen=True)

    environment: Literal["local", "test", "dev", "prod"] = "local"

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
    database_pool_size: int = Field(1, ge=1)

    files_bucket: str = ""
    archive_bucket: str = ""
    token_secret_id: str = ""
    queue_urls: dict[str, str] = {}
    """From every `<NAME>_QUEUE_URL`: queue name -> URL."""

    email_from: str = "Quintet <no-reply@quintet.example>"
    ses_configuration_set: str = ""
    api_url: str = ""
    """The API's public address with its stage, no slash at the end; for links in emails."""
    cors_origins: Annotated[list[str], BeforeValidator(_split)] = []
    same_site_cookies: bool = False
    """True when the front ends share the API's registrable domain: the refresh cookie is then SameSite=Strict."""
    sentry_dsn: str = ""


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The process's settings. `settings.cache_clear()` makes a changed environment count."""
    suffix = "_QUEUE_URL"
    queues = {k.removesuffix(suffix).lower(): v for k, v in os.environ.items() if k.endswith(suffix)}
    fields = {name: os.environ[name.upper()] for name in Settings.model_fields if name.upper() in os.environ}
    return Settings.model_validate({**fields, "queue_urls": queues})
