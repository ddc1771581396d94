"""Bodies of sign-in by a provider."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from quintet.http.oauth import ReturnTo
from quintet.http.schemas import Input, Output, Timestamp

ProviderName = Literal["github", "google"]


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
