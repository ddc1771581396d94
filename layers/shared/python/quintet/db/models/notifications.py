"""What people are told of what happens, and where they want to be told."""

import datetime as dt
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, CreatedAt, Id, one_of, references
from quintet.db.models.sessions import UserSession
from quintet.db.models.tasks import Task

EmailFrequency = Literal["immediate", "digest", "off"]


class Notification(Base):
    """Something somebody is told of, once for each event. What it says is read where it is sent."""

    __tablename__ = "notifications"
    __table_args__ = (
        one_of("email", *get_args(EmailFrequency)),
        UniqueConstraint("user_id", "event_id"),
        Index("ix_notifications_user_id_id", "user_id", "id", postgresql_where=text("in_app")),
        Index("ix_notifications_unread", "user_id", "id", postgresql_where=text("in_app AND read_at IS NULL")),
        Index(
            "ix_notifications_undigested",
            "user_id",
            postgresql_where=text("email = 'digest' AND digest_on IS NULL AND read_at IS NULL"),
        ),
        Index(
            "ix_notifications_user_id_digest_on",
            "user_id",
            "digest_on",
            postgresql_where=text("digest_on IS NOT NULL"),
        ),
        Index("ix_notifications_read_at", "read_at", postgresql_where=text("read_at IS NOT NULL")),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", index=False)
    event_id: Mapped[UUID]
    kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    scope: Mapped[str]
    """The event's: who may not read that any more is told nothing."""
    data: Mapped[dict[str, Any]]
    """Ids and facts."""
    in_app: Mapped[bool]
    email: Mapped[EmailFrequency] = mapped_column(Text)
    digest_on: Mapped[dt.date | None]
    """The day, where its reader lives, whose digest it is in."""
    created_at: Mapped[CreatedAt]
    read_at: Mapped[datetime | None]


class NotificationPreference(Base):
    """Where somebody wants to be told of a kind of thing. Without a row it is the kind's own default."""

    __tablename__ = "notification_preferences"
    __table_args__ = (one_of("email", *get_args(EmailFrequency)),)

    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", index=False, primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    in_app: Mapped[bool]
    email: Mapped[EmailFrequency] = mapped_column(Text)
    push: Mapped[bool]


class UnsubscribeToken(Base):
    """What stands in the unsubscribe links of somebody's emails of a kind. It can do nothing else, and does not end."""

    __tablename__ = "unsubscribe_tokens"
    __table_args__ = (UniqueConstraint("user_id", "kind"),)

    token: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", index=False)
    kind: Mapped[str]
    """Of a notification, or `digest`."""
    created_at: Mapped[CreatedAt]


class PushSubscription(Base):
    """A browser that can be pushed to (W3C Push API), as long as its session lasts."""

    __tablename__ = "push_subscriptions"
    __table_args__ = (Index("ix_push_subscriptions_user_id_id", "user_id", "id"),)

    id: Mapped[Id]
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", index=False)
    session_id: Mapped[UUID] = references(UserSession.id, ondelete="CASCADE")
    endpoint: Mapped[str] = mapped_column(unique=True)
    p256dh: Mapped[str]
    """The browser's public key, base64url; with `auth` what messages are encrypted by (RFC 8291)."""
    auth: Mapped[str]
    created_at: Mapped[CreatedAt]


class TaskReminder(Base):
    """That somebody has been reminded of a task before this day."""

    __tablename__ = "task_reminders"

    task_id: Mapped[UUID] = references(Task.id, ondelete="CASCADE", index=False, primary_key=True)
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", primary_key=True)
    due_date: Mapped[dt.date] = mapped_column(primary_key=True)
