"""What proves who somebody is: sessions, mailed tokens, and the keys of access tokens."""

from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import Text, text
from sqlalchemy.dialects.postgresql import CITEXT, INET
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, CreatedAt, Id, one_of, references

TokenPurpose = Literal["password_reset", "email_verification", "realtime_ticket", "account_restore"]


class UserSession(Base):
    """One sign-in on one device. The refresh token is derived from id and counter, not stored."""

    __tablename__ = "sessions"

    id: Mapped[Id]
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE")
    counter: Mapped[int] = mapped_column(server_default=text("0"))
    rotated_at: Mapped[CreatedAt]
    issued_at: Mapped[CreatedAt]
    last_used_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]
    ip: Mapped[Any | None] = mapped_column(INET)
    user_agent: Mapped[str | None]


class OneTimeToken(Base):
    """A token mailed to somebody, or a ticket to connect: only its SHA-256 is kept, and it works once."""

    __tablename__ = "one_time_tokens"
    __table_args__ = (one_of("purpose", *get_args(TokenPurpose)),)

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    purpose: Mapped[TokenPurpose] = mapped_column(Text)
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE")
    session_id: Mapped[UUID | None] = references(UserSession.id, ondelete="CASCADE")
    """The session that a ticket belongs to."""
    email: Mapped[str] = mapped_column(CITEXT)
    """The address it went to: it proves that address and no later one."""
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class SigningKey(Base):
    """The public half of a key that signs access tokens (a JWK, RFC 7517). The private half is in Secrets Manager."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    jwk: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]
