"""Who is connected: one row for each WebSocket that is open, as far as we know."""

from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import Text, func, text
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.base import Base, CreatedAt, one_of

ConnectionStatus = Literal["online", "away"]


class Connection(Base):
    """A WebSocket of somebody who is signed in. It is dead when the session is, or when API Gateway says so.

    Without foreign keys: by its row the socket of an account or a session that is gone is found, and closed.
    """

    __tablename__ = "connections"
    __table_args__ = (one_of("status", *get_args(ConnectionStatus)),)

    id: Mapped[str] = mapped_column(primary_key=True)
    """API Gateway's."""
    user_id: Mapped[UUID] = mapped_column(index=True)
    session_id: Mapped[UUID]
    status: Mapped[ConnectionStatus] = mapped_column(Text, server_default=text("'online'"))
    connected_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    last_seen_at: Mapped[CreatedAt]
