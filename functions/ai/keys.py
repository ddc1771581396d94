"""The key of an OpenAI-compatible server: a variable on one machine, a secret on AWS."""

from functools import lru_cache

from functions.ai.providers import ProviderError
from quintet.config import settings


def api_key() -> str:
    """The key; empty where the server wants none. ProviderError when it cannot be read.

    What is in Secrets Manager is read once for a process.
    """
    config = settings()
    return _secret(config.ai_secret_id) if config.ai_secret_id else config.ai_api_key


@lru_cache(maxsize=1)
def _secret(secret_id: str) -> str:
    from botocore.exceptions import BotoCoreError, ClientError

    from quintet.aws import secrets

    try:
        return secrets().get_secret_value(SecretId=secret_id)["SecretString"].strip()
    except (BotoCoreError, ClientError) as error:
        raise ProviderError(f"key: {type(error).__name__}") from None
