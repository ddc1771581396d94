"""Webhooks: addresses of their owners that events are sent to, and what became of each event there."""

from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, Changing, CreatedAt, Id, one_of, references

WebhookStatus = Literal["active", "paused"]
PausedReason = Literal["owner", "failing", "gone"]
"""Its owner paused it; nothing arrived for as long as is tried; the receiver answered 410."""
DeliveryStatus = Literal["pending", "delivered", "failed"]


class Webhook(Changing, Base):
    """A subscription to events; `types` are the wanted ones, and none means all there are.

    Secrets are kept as they are, for they are what signs: a hash could not, and what tokens are signed with, which one
    could derive them from, is replaced more often than receivers can be told.
    """

    __tablename__ = "webhooks"
    __table_args__ = (
        one_of("status", *get_args(WebhookStatus)),
        one_of("paused_reason", *get_args(PausedReason)),
        CheckConstraint("(status = 'paused') = (paused_reason IS NOT NULL)", name="paused"),
        CheckConstraint("(former_secret IS NULL) = (former_secret_until IS NULL)", name="former_secret"),
        Index("ix_webhooks_owner_id_id", "owner_id", "id"),
        # Whether anybody wants an event is asked at every write; there is no list of what is not in the index yet.
        Index(
            "ix_webhooks_wanted",
            "types",
            postgresql_using="gin",
            postgresql_with={"fastupdate": "off"},
            postgresql_where=text("status = 'active'"),
        ),
    )

    id: Mapped[Id]
    owner_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", index=False)
    url: Mapped[str]
    description: Mapped[str] = mapped_column(server_default=text("''"))
    types: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    status: Mapped[WebhookStatus] = mapped_column(Text, server_default=text("'active'"))
    paused_reason: Mapped[PausedReason | None] = mapped_column(Text)
    secret: Mapped[bytes] = mapped_column(deferred=True)
    former_secret: Mapped[bytes | None] = mapped_column(deferred=True)
    former_secret_until: Mapped[datetime | None] = mapped_column(deferred=True)
    """Until then the secret before the last rotation signs too."""
    slow: Mapped[bool] = mapped_column(server_default=text("false"), deferred=True)
    """The last attempt let us wait, in vain."""


class WebhookDelivery(Base):
    """What became of one event at one webhook.

    As with other deliveries `next_attempt_at` is the dispatcher's, and `lease_until` the consumer's: nobody tries
    before that, neither while somebody does nor before the time of the next attempt has come.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        one_of("status", *get_args(DeliveryStatus)),
        UniqueConstraint("webhook_id", "event_id", name="uq_webhook_deliveries_webhook_id_event_id"),
        Index("ix_webhook_deliveries_webhook_id_id", "webhook_id", "id"),
        Index("ix_webhook_deliveries_pending", "next_attempt_at", postgresql_where=text("status = 'pending'")),
        Index("ix_webhook_deliveries_webhook_id_status_id", "webhook_id", "status", "id"),
        # While an attempt is made it has no latency yet.
        Index(
            "ix_webhook_deliveries_running",
            "webhook_id",
            postgresql_where=text("status = 'pending' AND attempts > 0 AND latency_ms IS NULL"),
        ),
    )

    id: Mapped[Id]
    webhook_id: Mapped[UUID] = references(Webhook.id, ondelete="CASCADE", index=False)
    event_id: Mapped[UUID]
    type: Mapped[str]
    status: Mapped[DeliveryStatus] = mapped_column(Text, server_default=text("'pending'"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    first_tried_at: Mapped[datetime | None]
    """It is tried for a day from then on."""
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=text("now() + interval '1 minute'"))
    lease_until: Mapped[datetime | None]
    status_code: Mapped[int | None]
    """Of the last answer."""
    error: Mapped[str | None]
    """Why the last attempt failed."""
    latency_ms: Mapped[int | None]
    created_at: Mapped[CreatedAt]
    done_at: Mapped[datetime | None]
