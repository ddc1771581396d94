"""Bodies and filters of events."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import Field

from quintet.events.types import EventType
from quintet.http.schemas import Instant, Output, Timestamp


class EventRead(Output):
    """Something that happened."""

    id: UUID
    at: Timestamp
    type: str = Field(description="`<subject>.<what happened>`")
    actor_id: UUID | None = Field(description="Who did it; null when nobody was signed in.")
    subject_type: str
    subject_id: UUID | None
    data: dict[str, Any] = Field(description="Facts, by type.")
    scope: str = Field(description="Who may read it: those who may read this.")
    ip: str | None = Field(description="Of the caller; shown to who did it and to `events:read_all`.")
    request_id: str | None
    position: str = Field(description="Its place in the order that the feed has; compare it as text.")


class Feed(Output):
    """Events in order, and the cursor to go on from; there always is one, since the feed never ends."""

    items: list[EventRead]
    next_cursor: str = Field(description="Send it as `?after=`; when nothing is new, later.")


Scope = Annotated[
    str,
    Query(
        pattern=r"^(system|(user|project|conversation|campaign|course|roster):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$",
        description="`project:<id>`, `campaign:<id>`, `user:<id>`, ...; `roster:<id>` is who takes the course of "
        "this id; `system` is for `events:read_all`.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Which events are asked for; None is any."""

    type: EventType | None = None
    subject_type: Annotated[str | None, Query(pattern="^[a-z_]{1,40}$")] = None
    subject_id: UUID | None = None
    actor_id: Annotated[UUID | None, Query(description="What this account did.")] = None
    scope: Scope | None = None
    since: Annotated[Instant | None, Query(alias="from", description="At this time or later.")] = None
    until: Annotated[Instant | None, Query(alias="to", description="Before this time.")] = None
