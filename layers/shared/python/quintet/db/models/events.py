"""The event log and what is to be delivered of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Text, text
from sqlalchemy.dialects.postgresql import INET
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from quintet.db.models.base import Base, CreatedAt, Id

_PUBLIC = text("NOT starts_with(scope, 'conversation:') AND subject_type NOT IN ('conversation', 'message')")


class Xid8(UserDefinedType[int]):
    """PostgreSQL's 64-bit transaction id."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The type's name in DDL."""
        return "xid8"


class Event(Base):
    """Something that happened. Partitioned by month on `id` (UUIDv7 begins with the time); nothing references it."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_scope_transaction_id_id", "scope", "transaction_id", "id"),
        # The audit trail is read newest first: of a scope, of what somebody did, of what was done to something.
        Index("ix_events_scope_id", "scope", "id"),
        Index("ix_events_actor_id_id", "actor_id", "id"),
        Index("ix_events_subject_id_id", "subject_id", "id"),
        # For those who may read every event but other people's conversations.
        Index("ix_events_public_id", "id", postgresql_where=_PUBLIC),
        Index("ix_events_public_transaction_id_id", "transaction_id", "id", postgresql_where=_PUBLIC),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    id: Mapped[Id]
    transaction_id: Mapped[int] = mapped_column(Xid8, server_default=text("pg_current_xact_id()"))
    at: Mapped[CreatedAt]
    actor_id: Mapped[UUID | None]
    type: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[UUID | None]
    data: Mapped[dict[str, Any]]
    scope: Mapped[str]
    ip: Mapped[Any | None] = mapped_column(INET)
    request_id: Mapped[str | None]


class Delivery(Base):
    """An event that a queue's consumer is to act on, once.

    `destination` is a queue, or `queue:recipient`. `lease_until` keeps two consumers apart; `next_attempt_at` is
    when the dispatcher sends it (again) if nobody has done it by then.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("ix_deliveries_open", "next_attempt_at", postgresql_where=text("done_at IS NULL")),
        Index("ix_deliveries_done_at", "done_at"),
    )

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    destination: Mapped[str] = mapped_column(Text, primary_key=True)
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=text("now() + interval '1 minute'"))
    lease_until: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    error: Mapped[str | None]
