"""Bodies of notifications and preferences."""

from typing import Any
from uuid import UUID

from pydantic import Field, create_model

from quintet.db.models.notifications import EmailFrequency
from quintet.http.schemas import Input, Output, Timestamp, Update
from quintet.notifications.kinds import KINDS

MANY = 100
"""Unread notifications are counted up to here."""


class NotificationRead(Output):
    """Something the caller is told of."""

    id: UUID
    kind: str = Field(json_schema_extra={"enum": list(KINDS)})
    event_id: UUID = Field(description="The event it is about, as `GET /events` has it.")
    actor_id: UUID | None = Field(description="Who did it; null when nobody did.")
    data: dict[str, Any] = Field(description="Ids of what it is about, and facts.")
    created_at: Timestamp
    read_at: Timestamp | None


class UnreadCount(Output):
    """How many notifications the caller has not read."""

    unread: int = Field(description=f"{MANY} stands for {MANY} or more.", le=MANY)


class MarkRead(Input):
    """Which notifications are read."""

    up_to: UUID | None = Field(None, description="This one and all before it; by default all there are.")


class Channels(Output):
    """Where somebody is told of a kind of thing."""

    in_app: bool = Field(description="In the list of notifications.")
    push: bool = Field(description="On every browser that is subscribed.")


class EmailedChannels(Channels):
    """Where somebody is told of a kind of thing; by email too."""

    email: EmailFrequency = Field(description="At once, once a day in the morning, or not.")


class ChannelsUpdate(Update):
    """The fields to change."""

    in_app: bool = Field(True, strict=True)
    push: bool = Field(True, strict=True)


class EmailedChannelsUpdate(ChannelsUpdate):
    """The fields to change."""

    email: EmailFrequency = "off"


Preferences = create_model(
    "Preferences",
    __base__=Output,
    __doc__="Where the caller wants to be told of what. Imports have emails of their own, which always come.",
    **{name: (EmailedChannels if kind.has_email else Channels, ...) for name, kind in KINDS.items()},  # type: ignore[call-overload]
)

PreferencesUpdate = create_model(
    "PreferencesUpdate",
    __base__=Update,
    __doc__="The preferences to change; all others stay.",
    **{
        name: (EmailedChannelsUpdate if kind.has_email else ChannelsUpdate, Field(None, validate_default=False))
        for name, kind in KINDS.items()
    },  # type: ignore[call-overload]
)
