"""Services people have connected, what was fetched from them, what is asked of them, and which of them are down."""

from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, Changing, Id, one_of, references
from quintet.db.models.files import File

ServiceName = Literal["github", "google_docs", "meshy", "video"]
IntegrationStatus = Literal["pending", "connected", "needs_reauth", "disconnected"]
"""Sent to the provider; usable; refused by the provider; about to be revoked there, and then removed."""
SyncStatus = Literal["idle", "running", "success", "error"]
RequestStatus = Literal["queued", "running", "succeeded", "failed"]
CircuitState = Literal["closed", "open", "half_open"]


class Integration(Changing, Base):
    """A service that somebody has connected. There is one of each service, beside those that are being revoked.

    Its secrets are sealed (`quintet.integrations.sealing`). `token_version` is the fence of those who renew them,
    `sync_run` that of those who fetch; `next_sync_at` is when it is due, `sync_sent_at` when the queue was last told.
    """

    __tablename__ = "integrations"
    __table_args__ = (
        one_of("service", *get_args(ServiceName)),
        one_of("status", *get_args(IntegrationStatus)),
        one_of("sync_status", *get_args(SyncStatus)),
        CheckConstraint("num_nulls(sealed, data_key, key_id) IN (0, 3)", name="sealed"),
        Index(
            "uq_integrations_user_id_service",
            "user_id",
            "service",
            unique=True,
            postgresql_where=text("status <> 'disconnected'"),
        ),
        Index("ix_integrations_user_id_id", "user_id", "id"),
        Index("ix_integrations_next_sync_at", "next_sync_at", postgresql_where=text("status = 'connected'")),
    )

    id: Mapped[Id]
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", index=False)
    service: Mapped[ServiceName] = mapped_column(Text)
    status: Mapped[IntegrationStatus] = mapped_column(Text)

    sealed: Mapped[bytes | None] = mapped_column(deferred=True)
    data_key: Mapped[bytes | None] = mapped_column(deferred=True)
    """What they are sealed with, sealed itself by the key that `key_id` names."""
    key_id: Mapped[str | None] = mapped_column(deferred=True)
    token_version: Mapped[int] = mapped_column(server_default=text("0"))
    token_lease_until: Mapped[datetime | None]
    """Until then somebody is renewing the token."""
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    expires_at: Mapped[datetime | None]
    """When the token has to be renewed; none for one that does not expire."""
    connected_at: Mapped[datetime | None]

    sync_status: Mapped[SyncStatus] = mapped_column(Text, server_default=text("'idle'"))
    sync_run: Mapped[int] = mapped_column(server_default=text("0"))
    sync_failures: Mapped[int] = mapped_column(server_default=text("0"))
    """In a row."""
    sync_lease_until: Mapped[datetime | None]
    next_sync_at: Mapped[datetime | None]
    sync_sent_at: Mapped[datetime | None]
    wait_until: Mapped[datetime | None]
    """Until then the service has asked to be left alone, whoever asks for a sync."""
    last_synced_at: Mapped[datetime | None]
    checkpoint: Mapped[dict[str, Any] | None]
    error: Mapped[str | None]
    """Why it does not work at the moment, for its owner to read."""
    stale_since: Mapped[datetime | None]
    """Since when nothing new could be fetched."""


class IntegrationRecord(Base):
    """Something of a service as it was when it was last fetched; `pass_number` is the listing that saw it last."""

    __tablename__ = "integration_records"
    __table_args__ = (
        UniqueConstraint(
            "integration_id", "kind", "external_id", name="uq_integration_records_integration_id_kind_external_id"
        ),
        Index("ix_integration_records_integration_id_id", "integration_id", "id"),
    )

    id: Mapped[Id]
    integration_id: Mapped[UUID] = references(Integration.id, ondelete="CASCADE", index=False)
    kind: Mapped[str]
    external_id: Mapped[str]
    data: Mapped[dict[str, Any]]
    pass_number: Mapped[int] = mapped_column(server_default=text("0"))
    fetched_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    stale_since: Mapped[datetime | None]
    """Since when the service does not list it any more."""


class IntegrationRequest(Changing, Base):
    """Something asked of a service. `run` is the fence of those who work on it."""

    __tablename__ = "integration_requests"
    __table_args__ = (
        one_of("status", *get_args(RequestStatus)),
        CheckConstraint("progress BETWEEN 0 AND 100", name="progress"),
        Index("ix_integration_requests_integration_id_id", "integration_id", "id"),
        Index(
            "ix_integration_requests_next_attempt_at",
            "next_attempt_at",
            postgresql_where=text("status IN ('queued', 'running')"),
        ),
    )

    id: Mapped[Id]
    integration_id: Mapped[UUID] = references(Integration.id, ondelete="CASCADE", index=False)
    operation: Mapped[str]
    input: Mapped[dict[str, Any]]
    status: Mapped[RequestStatus] = mapped_column(Text, server_default=text("'queued'"))
    progress: Mapped[int | None]
    """Percent, if the service tells."""
    external_id: Mapped[str | None]
    """The service's own id of the job."""
    run: Mapped[int] = mapped_column(server_default=text("0"))
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    """In a row."""
    lease_until: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None] = mapped_column(server_default=text("now()"))
    sent_at: Mapped[datetime | None] = mapped_column(server_default=text("now()"))
    """When the queue was last told of it."""
    file_id: Mapped[UUID | None] = references(File.id, ondelete="SET NULL")
    stored_at: Mapped[datetime | None]
    """When the result had arrived in the storage, where it is checked as every upload is."""
    result: Mapped[dict[str, Any] | None]
    stale_since: Mapped[datetime | None]
    """Since when the result is no longer the service's own answer, but the last good one."""
    error: Mapped[str | None]
    finished_at: Mapped[datetime | None]


class CircuitBreaker(Base):
    """How a service has been doing, for everybody who is about to call it. None is as good as a closed one."""

    __tablename__ = "circuit_breakers"
    __table_args__ = (one_of("state", *get_args(CircuitState)),)

    service: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[CircuitState] = mapped_column(Text, server_default=text("'closed'"))
    failures: Mapped[int] = mapped_column(server_default=text("0"))
    """In a row, none of them long after the one before."""
    trips: Mapped[int] = mapped_column(server_default=text("0"))
    """How often it has opened since the service last worked."""
    failed_at: Mapped[datetime | None]
    open_until: Mapped[datetime | None]
    """Open: when somebody may try. Half open: until when nobody else does."""
