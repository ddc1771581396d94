"""What proves who somebody is: sessions, mailed tokens, and the keys of access tokens."""

from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import CheckConstraint, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import CITEXT, INET
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, CreatedAt, Id, one_of, references

TokenPurpose = Literal["password_reset", "email_verification", "realtime_ticket", "account_restore", "oauth_state"]


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
    """A token mailed to somebody, a ticket to connect, or what somebody takes along to a provider (OAuth) and back.

    Only its SHA-256 is kept, and it works once.
    """

    __tablename__ = "one_time_tokens"
    __table_args__ = (
        one_of("purpose", *get_args(TokenPurpose)),
        # Who is to sign in by a provider is not known yet.
        CheckConstraint("purpose = 'oauth_state' OR user_id IS NOT NULL AND email IS NOT NULL", name="owner"),
    )

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    purpose: Mapped[TokenPurpose] = mapped_column(Text)
    user_id: Mapped[UUID | None] = references(User.id, ondelete="CASCADE")
    session_id: Mapped[UUID | None] = references(UserSession.id, ondelete="CASCADE")
    """The session that a ticket belongs to, or in which somebody was sent to a provider."""
    email: Mapped[str | None] = mapped_column(CITEXT)
    """The address it went to: it proves that address and no later one."""
    data: Mapped[dict[str, Any] | None]
    """What somebody was sent to a provider for."""
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class OAuthIdentity(Base):
    """Somebody's account at a provider, by which they sign in."""

    __tablename__ = "oauth_identities"
    __table_args__ = (UniqueConstraint("provider", "subject", name="uq_oauth_identities_provider_subject"),)

    id: Mapped[Id]
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE")
    provider: Mapped[str]
    subject: Mapped[str]
    """The provider's own id of the account: addresses and names there may change."""
    email: Mapped[str | None] = mapped_column(CITEXT)
    """The verified address the provider told last, for its owner to know which account it is."""
    created_at: Mapped[CreatedAt]
    last_used_at: Mapped[CreatedAt]
    unlinked_at: Mapped[datetime | None]
    """Since when it signs in no more; it stays, lest its address link it again."""


class SigningKey(Base):
    """The public half of a key that signs access tokens (a JWK, RFC 7517). The private half is in Secrets Manager."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    jwk: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]
