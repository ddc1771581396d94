"""Bodies of sign-in by a provider."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, Field

from quintet.config import settings
from quintet.http.schemas import Input, Output, Timestamp

ProviderName = Literal["github", "google"]

_PRINTABLE = re.compile(r"[!-~]+")


def _of_a_front_end(value: str) -> str:
    parts = urlsplit(value) if _PRINTABLE.fullmatch(value) and "\\" not in value else None
    if parts is None or f"{parts.scheme}://{parts.netloc}" not in settings().cors_origins:
        raise ValueError("send an address of one of the front ends that this installation knows")
    return value


ReturnTo = Annotated[
    str,
    Field(
        max_length=1000,
        description="Where the browser goes in the end: an address of a known front end.",
        examples=["https://app.example.com/welcome"],
    ),
    AfterValidator(_of_a_front_end),
]
"""The origin is compared as it is, so that nothing but a front end's own address is one."""


class IdentityLink(Input):
    """An account at a provider that is to sign in here too."""

    provider: ProviderName
    return_to: ReturnTo | None = None


class AuthorizationRead(Output):
    """Have the browser go there, in which this answer's cookie is."""

    authorization_url: str
    expires_in: int = Field(description="Seconds.")


class IdentityRead(Output):
    """An account at a provider by which one can sign in; `email` is what the provider says, if it has verified one."""

    id: UUID
    provider: ProviderName
    email: str | None
    created_at: Timestamp
    last_used_at: Timestamp
