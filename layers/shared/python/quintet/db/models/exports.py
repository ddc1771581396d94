"""Exports: all of a person's data as one archive, for them to take away."""

from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import BigInteger, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, Changing, Id, one_of, references

ExportStatus = Literal["queued", "running", "ready", "failed", "expired"]


class Export(Changing, Base):
    """One archive that was asked for. Of an account there is one at a time under way."""

    __tablename__ = "exports"
    __table_args__ = (
        one_of("status", *get_args(ExportStatus)),
        Index("ix_exports_user_id_id", "user_id", "id"),
        Index("uq_exports_open", "user_id", unique=True, postgresql_where=text("status IN ('queued', 'running')")),
        Index("ix_exports_expires_at", "expires_at", postgresql_where=text("status = 'ready'")),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", index=False)
    status: Mapped[ExportStatus] = mapped_column(Text, server_default=text("'queued'"))
    bucket: Mapped[str]
    key: Mapped[str]
    upload_id: Mapped[str | None]
    """The multipart upload under way."""
    version_id: Mapped[str | None]
    size: Mapped[int | None] = mapped_column(BigInteger)
    """Bytes."""
    finished_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
