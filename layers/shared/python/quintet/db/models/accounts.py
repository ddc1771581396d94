"""Accounts, their roles and divisions."""

from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import Index, literal_column, text
from sqlalchemy.dialects.postgresql import ARRAY, CITEXT
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import Text

from quintet.db.models.base import Base, Changing, Id, one_of, references

UserStatus = Literal["active", "disabled"]


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
        Index("ix_users_leaving", "deletion_requested_at", postgresql_where=text("deletion_requested_at IS NOT NULL")),
    )

    id: Mapped[Id]
    email: Mapped[str] = mapped_column(CITEXT, unique=True)
    username: Mapped[str | None] = mapped_column(CITEXT, unique=True)
    full_name: Mapped[str]
    password_hash: Mapped[str | None]
    status: Mapped[UserStatus] = mapped_column(Text, server_default=text("'active'"))
    email_verified_at: Mapped[datetime | None]
    time_zone: Mapped[str] = mapped_column(server_default=text("'UTC'"))
    deletion_requested_at: Mapped[datetime | None]
    """Its owner wants it gone: disabled, it can be taken back until it is erased."""
    erased_at: Mapped[datetime | None]
    """All that tells who it was is gone; the row stays for what refers to it."""


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

    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", index=False, primary_key=True)
    role_id: Mapped[UUID] = references(Role.id, ondelete="RESTRICT", index=False, primary_key=True)


class Division(Changing, Base):
    """An organisational unit."""

    __tablename__ = "divisions"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(CITEXT, unique=True)


class UserDivision(Base):
    """Who belongs to which division."""

    __tablename__ = "user_divisions"
    __table_args__ = (Index("ix_user_divisions_division_id_user_id", "division_id", "user_id"),)

    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", index=False, primary_key=True)
    division_id: Mapped[UUID] = references(Division.id, ondelete="CASCADE", index=False, primary_key=True)
