"""Bodies of webhooks and their deliveries."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, WithJsonSchema

from quintet.db.models.webhooks import DeliveryStatus, PausedReason, WebhookStatus
from quintet.events.types import WEBHOOK_TYPES
from quintet.http.schemas import Input, Output, Timestamp, Update, text
from quintet.outbound import MAX_URL, NotAllowed, parse


def _callable(url: str) -> str:
    try:
        parse(url)
    except NotAllowed as reason:
        raise ValueError(str(reason)) from None
    return url


def _offered(type: str) -> str:
    if type not in WEBHOOK_TYPES:
        raise ValueError("no event of this type is sent to webhooks")
    return type


def _once_each(types: list[str]) -> list[str]:
    return sorted(set(types))


Url = Annotated[
    str,
    AfterValidator(_callable),
    Field(
        description="Where events are sent: https, to a public address.",
        json_schema_extra={"format": "uri", "maxLength": MAX_URL},
    ),
]
Description = Annotated[str, text(500)]
Type = Annotated[
    str, AfterValidator(_offered), WithJsonSchema({"type": "string", "enum": sorted(str(t) for t in WEBHOOK_TYPES)})
]
Types = Annotated[
    list[Type],
    Field(max_length=len(WEBHOOK_TYPES), description="Which events are sent; none is every one there is."),
    AfterValidator(_once_each),
]


class WebhookCreate(Input):
    """A new webhook. It gets what its owner may read, from now on."""

    url: Url
    description: Description = ""
    types: Types = Field([])


class WebhookUpdate(Update):
    """The fields to change. `active` resumes a webhook: what happened while it was paused is not sent.

    What was waiting for another attempt before is tried for a day again.
    """

    url: Url = ""
    description: Description = ""
    types: Types = Field([])
    status: WebhookStatus = "active"


class WebhookRead(Output):
    """A webhook."""

    id: UUID
    url: str
    description: str
    types: list[str] = Field(description="Which events are sent; none is every one there is.")
    status: WebhookStatus
    paused_reason: PausedReason | None = Field(
        description="`owner` paused it; it was `failing` for a day; its receiver answered 410 (`gone`)."
    )
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class WebhookCreated(WebhookRead):
    """A new webhook, and what its messages are signed with."""

    secret: str = Field(description="Keep it: it is not shown again.")


class SecretRotated(Output):
    """The new secret."""

    secret: str = Field(description="Keep it: it is not shown again.")
    former_secret_until: Timestamp = Field(description="Until then messages are signed with the former secret too.")
    version: int


class DeliveryRead(Output):
    """What became of an event at a webhook."""

    id: UUID
    event_id: UUID = Field(description="The header `webhook-id` of every attempt.")
    type: str
    status: DeliveryStatus
    attempts: int
    next_attempt_at: Timestamp | None = Field(description="While it is pending.")
    status_code: int | None = Field(description="What the receiver answered last.")
    error: str | None = Field(description="Why the last attempt failed.")
    latency_ms: int | None = Field(description="How long the last attempt took.")
    created_at: Timestamp
    done_at: Timestamp | None
