"""Bodies of agents."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from quintet.http.schemas import Email, Input, Output, Timestamp, Update, text

Name = Annotated[str, text(200, min_length=1)]

_ALIASES = {"name": ("full_name", "fullName"), "user_id": ("userId",)}
_USER_ID = Field(None, description="The account that they sign in with, if they do. It is one agent's only.")


class AgentCreate(Input):
    """A new agent."""

    aliases: ClassVar = _ALIASES

    name: Name
    email: Email
    user_id: UUID | None = _USER_ID
    available: bool = Field(True, strict=True)


class AgentUpdate(Update):
    """The fields to change."""

    aliases: ClassVar = _ALIASES

    name: Name = ""
    email: Email = ""
    user_id: UUID | None = _USER_ID
    available: bool = Field(True, strict=True)


class AgentRead(Output):
    """An agent, and how much they have to do. Archived campaigns do not count."""

    id: UUID
    name: str
    email: str
    user_id: UUID | None
    available: bool = Field(description="Gets a share when contacts are distributed.")
    load: int = Field(
        description="How many contacts are theirs to work on: new or contacted ones, where they are assigned."
    )
    campaigns: int = Field(description="How many they are assigned to.")
    created_at: Timestamp
    updated_at: Timestamp
    version: int
