"""Conversations with the assistant: each is one person's, and nobody else's."""

import datetime as dt
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import BigInteger, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, CreatedAt, Id, UpdatedAt, one_of, references

AiRole = Literal["user", "assistant"]
AiStatus = Literal["running", "done", "stopped", "failed", "interrupted"]


class AiConversation(Base):
    """What one person and the assistant say to each other; the client chooses `chat_id`."""

    __tablename__ = "ai_conversations"
    __table_args__ = (UniqueConstraint("user_id", "chat_id"),)

    id: Mapped[Id]
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", index=False)
    chat_id: Mapped[str]
    title: Mapped[str]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[UpdatedAt]


class AiMessage(Base):
    """A question, or one run of an answer: what goes on after a proposal was approved is another run.

    While it is `running` whoever produces it renews `lease_until`; when that has passed, the producer has died, and
    whoever comes by next ends it as `interrupted`.
    """

    __tablename__ = "ai_messages"
    __table_args__ = (
        one_of("role", *get_args(AiRole)),
        one_of("status", *get_args(AiStatus)),
        Index("ix_ai_messages_conversation_id_id", "conversation_id", "id"),
        # One answer at a time.
        Index("uq_ai_messages_running", "conversation_id", unique=True, postgresql_where=text("status = 'running'")),
    )

    id: Mapped[Id]
    conversation_id: Mapped[UUID] = references(AiConversation.id, ondelete="CASCADE", index=False)
    role: Mapped[AiRole] = mapped_column(Text)
    message_id: Mapped[str]
    """What front ends call it; the runs of one answer share it."""
    content: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    """Its parts, as the AI SDK has them; of an answer, once it has ended."""
    status: Mapped[AiStatus] = mapped_column(Text, server_default=text("'done'"))
    stop_requested: Mapped[bool] = mapped_column(server_default=text("false"))
    lease_until: Mapped[datetime | None]
    provider: Mapped[str | None]
    # Of an answer that is running, what is expected of it.
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    created_at: Mapped[CreatedAt]


class AiChunk(Base):
    """A piece of an answer's stream, just as it is sent: some hundred milliseconds of it."""

    __tablename__ = "ai_chunks"

    message_id: Mapped[UUID] = references(AiMessage.id, ondelete="CASCADE", index=False, primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[str]


class AiUsage(Base):
    """The tokens somebody has used on a day (UTC), whatever became of their conversations."""

    __tablename__ = "ai_usage"

    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", index=False, primary_key=True)
    day: Mapped[dt.date] = mapped_column(primary_key=True)
    input_tokens: Mapped[int] = mapped_column(BigInteger)
    output_tokens: Mapped[int] = mapped_column(BigInteger)
