"""Bodies of contacts and activities."""

from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AfterValidator, Field

from quintet.db.models.campaigns import ContactStatus, Outcome
from quintet.http.schemas import Email, Input, Instant, JsonObject, Number, Output, Timestamp, Update, text

MAX_DURATION = 86_400

_Short = Annotated[str, text(200, min_length=1)]


class ContactUpdate(Update):
    """The fields to change. A contact keeps an email address or a telephone number."""

    aliases: ClassVar = {"full_name": ("fullName", "name"), "external_id": ("externalId",), "agent_id": ("agentId",)}

    full_name: _Short | None = None
    email: Annotated[Email, AfterValidator(str.lower)] | None = None
    phone: Annotated[str, text(50, min_length=1)] | None = Field(
        None, description="Without a country code it is a number of the campaign's `default_country`."
    )
    external_id: _Short | None = None
    attributes: JsonObject = Field(default={}, description="Replaces the attributes as a whole.")
    status: ContactStatus = "new"
    agent_id: UUID | None = Field(
        None, description="One of the campaign's agents; for whoever created the campaign. Null: nobody's."
    )


class ContactRead(Output):
    """Somebody a campaign is about."""

    id: UUID
    campaign_id: UUID
    agent_id: UUID | None = Field(description="Whose contact it is.")
    upload_id: UUID | None = Field(description="The import that made it.")
    external_id: str | None
    full_name: str | None
    email: str | None
    phone: str | None = Field(description="E.164.")
    attributes: dict[str, Any]
    status: ContactStatus
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class ActivityCreate(Input):
    """A call or another attempt at a contact, and what came of it."""

    outcome: Outcome = Field(description="Becomes the contact's status, unless there is a later activity.")
    note: Annotated[str, text(2000)] = ""
    duration: Annotated[int, Field(ge=0, le=MAX_DURATION, description="Seconds."), Number] = 0
    at: Instant | None = Field(None, description="When it was, if not just now; not before 1970 and not in the future.")


class ActivityRead(Output):
    """A call or another attempt at a contact, and what came of it."""

    id: UUID
    campaign_id: UUID
    contact_id: UUID
    agent_id: UUID | None = Field(description="Who did it.")
    user_id: UUID | None = Field(description="The account that recorded it.")
    outcome: Outcome
    note: str
    duration: int = Field(description="Seconds.")
    at: Timestamp
