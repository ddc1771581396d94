"""Tables that serve the API itself."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, CreatedAt, references


class IdempotencyKey(Base):
    """The answer to a request, kept for its repeats. Committed with the change it answers for."""

    __tablename__ = "idempotency_keys"

    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", index=False, primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    body_hash: Mapped[bytes]
    status: Mapped[int | None]
    headers: Mapped[dict[str, Any] | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime] = mapped_column(index=True)
    created_at: Mapped[CreatedAt]


class RateCounter(Base):
    """Hits on one key in its present window. Unlogged: losing them in a crash is no harm."""

    __tablename__ = "rate_counters"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    key: Mapped[str] = mapped_column(primary_key=True)
    hits: Mapped[int]
    window_ends_at: Mapped[datetime] = mapped_column(index=True)
