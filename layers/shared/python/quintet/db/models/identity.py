"""Accounts, sessions, roles and divisions."""

from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import Index, literal_column, text
from sqlalchemy.dialects.postgresql import ARRAY, CITEXT, INET
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from quintet.db.models.base import Base, Changing, CreatedAt, Id, one_of, references

UserStatus = Literal["active", "disabled"]
TokenPurpose = Literal["password_reset", "email_verification"]


def _prefix_index(name: str, expression: str) -> Index:
    return Index(name, literal_column(expression).label("prefix"), postgresql_ops={"prefix": "text_pattern_ops"})


class User(Changing, Base):
    """A person's account. Without a password hash it can sign in through OAuth only."""

    __tablename__ = "users"
    __table_args__ = (
        one_of("status", *get_args(UserStatus)),
        # How a name or an address begins, which is what accounts are looked for by.
        _prefix_index("ix_users_email_prefix", "lower(email::text)"),
        _prefix_index("ix_users_full_name_prefix", "lower(full_name)"),
    )

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(CITEXT, unique=True)
    username: Mapped[str | None] = mapped_column(CITEXT, unique=True)
    full_name: Mapped[str]
    password_hash: Mapped[str | None]
    status: Mapped[UserStatus] = mapped_column(Text, server_default=text("'active'"))
    email_verified_at: Mapped[datetime | None]


class Role(Changing, Base):
    """A named set of permissions. `self_assignable`: a newcomer may ask for it."""

    __tablename__ = "roles"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(server_default=text("''"))
    permissions: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    self_assignable: Mapped[bool] = mapped_column(server_default=text("false"))


class UserRole(Base):
    """Who holds which role."""

    __tablename__ = "user_roles"
    __table_args__ = (Index("ix_user_roles_role_id_user_id", "role_id", "user_id"),)  # who holds a role, newest first

    user_id: Mapped[UUID] = references("users.id", ondelete="CASCADE", index=False, primary_key=True)
    role_id: Mapped[UUID] = references("roles.id", ondelete="RESTRICT", index=False, primary_key=True)


class UserSession(Base):
    """One sign-in on one device. The refresh token is derived from id and counter, not stored."""

    __tablename__ = "sessions"

    id: Mapped[Id]
    user_id: Mapped[UUID] = references("users.id", ondelete="CASCADE")
    counter: Mapped[int] = mapped_column(server_default=text("0"))
    rotated_at: Mapped[CreatedAt]
    issued_at: Mapped[CreatedAt]
    last_used_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    revoked_at: Mapped[datetime | None]
    ip: Mapped[Any | None] = mapped_column(INET)
    user_agent: Mapped[str | None]


class OneTimeToken(Base):
    """A token mailed to somebody: only its SHA-256 is kept, and it works once."""

    __tablename__ = "one_time_tokens"
    __table_args__ = (one_of("purpose", *get_args(TokenPurpose)),)

    hash: Mapped[bytes] = mapped_column(primary_key=True)
    purpose: Mapped[TokenPurpose] = mapped_column(Text)
    user_id: Mapped[UUID] = references("users.id", ondelete="CASCADE")
    email: Mapped[str] = mapped_column(CITEXT)
    """The address it went to: it proves that address and no later one."""
    expires_at: Mapped[datetime] = mapped_column(index=True)
    used_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class FormerAddress(Base):
    """Where an account's address moved from, by the event that says so: that address is told, and then forgotten.

    A row for each move: whoever moves it twice at once does not keep the first from hearing of it.
    """

    __tablename__ = "former_addresses"

    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = references("users.id", ondelete="CASCADE")
    email: Mapped[str] = mapped_column(CITEXT)


class Division(Changing, Base):
    """An organisational unit."""

    __tablename__ = "divisions"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(CITEXT, unique=True)


class UserDivision(Base):
    """Who belongs to which division."""

    __tablename__ = "user_divisions"
    __table_args__ = (Index("ix_user_divisions_division_id_user_id", "division_id", "user_id"),)

    user_id: Mapped[UUID] = references("users.id", ondelete="CASCADE", index=False, primary_key=True)
    division_id: Mapped[UUID] = references("divisions.id", ondelete="CASCADE", index=False, primary_key=True)


class SigningKey(Base):
    """The public half of a key that signs access tokens (a JWK, RFC 7517). The private half is in Secrets Manager."""

    __tablename__ = "signing_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    jwk: Mapped[dict[str, Any]]
    created_at: Mapped[CreatedAt]


class SuppressedAddress(Base):
    """An address that bounced or complained: nothing more is sent there."""

    __tablename__ = "suppressed_addresses"
    __table_args__ = (one_of("reason", "bounce", "complaint"),)

    email: Mapped[str] = mapped_column(CITEXT, primary_key=True)
    reason: Mapped[str]
    created_at: Mapped[CreatedAt]
