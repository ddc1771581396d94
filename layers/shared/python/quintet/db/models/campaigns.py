"""Campaigns: their contacts, the agents who work on them, and the uploads that contacts come from."""

import datetime as dt
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Computed,
    Date,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import CITEXT
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, Changing, CreatedAt, Id, one_of, references, searched
from quintet.db.models.files import File

CampaignStatus = Literal["draft", "active", "paused", "completed"]
ContactStatus = Literal["new", "contacted", "converted", "rejected", "unreachable"]
Outcome = Literal["contacted", "converted", "rejected", "unreachable"]
"""What came of an activity; it becomes the contact's status."""
UploadStatus = Literal["uploaded", "processing", "processed", "failed", "cancelled", "reverting", "reverted"]
OnDuplicate = Literal["skip", "update"]


class Campaign(Changing, Base):
    """Contacts to be worked on, by agents who are assigned to it."""

    __tablename__ = "campaigns"
    __table_args__ = (
        one_of("status", *get_args(CampaignStatus)),
        CheckConstraint("end_date >= start_date", name="dates"),
        Index("ix_campaigns_created_by_id", "created_by", "id"),
        Index("ix_campaigns_search", "search", postgresql_using="gin"),
    )

    id: Mapped[Id]
    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default=text("''"))
    status: Mapped[CampaignStatus] = mapped_column(Text, server_default=text("'draft'"))
    start_date: Mapped[dt.date | None] = mapped_column(Date)
    end_date: Mapped[dt.date | None] = mapped_column(Date)
    default_country: Mapped[str | None]
    """ISO 3166-1 alpha-2: where a phone number without a country code is."""
    distributed: Mapped[bool] = mapped_column(server_default=text("false"))
    """Contacts have been shared out, and are again when agents come or go."""
    created_by: Mapped[UUID] = references(User.id, ondelete="RESTRICT", index=False)
    archived_at: Mapped[datetime | None]
    search: Mapped[str] = searched("setweight(words_of(name), 'A') || setweight(words_of(description), 'B')")


class Agent(Changing, Base):
    """Somebody who works on contacts; linked to an account, they can do so here."""

    __tablename__ = "agents"

    id: Mapped[Id]
    name: Mapped[str]
    email: Mapped[str] = mapped_column(CITEXT, unique=True)
    user_id: Mapped[UUID | None] = references(User.id, ondelete="SET NULL", index=False, unique=True)
    available: Mapped[bool] = mapped_column(server_default=text("true"))


class CampaignAssignment(Base):
    """Which agent works on which campaign."""

    __tablename__ = "campaign_assignments"

    campaign_id: Mapped[UUID] = references(Campaign.id, ondelete="CASCADE", index=False, primary_key=True)
    agent_id: Mapped[UUID] = references(Agent.id, ondelete="RESTRICT", primary_key=True)
    assigned_at: Mapped[CreatedAt]
    assigned_by: Mapped[UUID] = references(User.id, ondelete="RESTRICT")


class CampaignUpload(Changing, Base):
    """An import of contacts, and how far it has come.

    `run` counts who has claimed it, `chunk` how many chunks are merged: only the present run may merge the next one.
    """

    __tablename__ = "campaign_uploads"
    __table_args__ = (
        one_of("status", *get_args(UploadStatus)),
        one_of("on_duplicate", *get_args(OnDuplicate)),
        Index("ix_campaign_uploads_campaign_id_id", "campaign_id", "id"),
        Index("ix_campaign_uploads_open", "lease_until", postgresql_where=text(
            "status IN ('uploaded', 'processing', 'reverting')")),
    )  # fmt: skip

    id: Mapped[Id]
    campaign_id: Mapped[UUID] = references(Campaign.id, ondelete="CASCADE", index=False)
    file_id: Mapped[UUID | None] = references(File.id, ondelete="SET NULL")
    created_by: Mapped[UUID] = references(User.id, ondelete="RESTRICT")
    status: Mapped[UploadStatus] = mapped_column(Text, server_default=text("'uploaded'"))
    reason: Mapped[str | None]
    """Why it failed, for the uploader to read."""
    dry_run: Mapped[bool] = mapped_column(server_default=text("false"))
    on_duplicate: Mapped[OnDuplicate] = mapped_column(Text, server_default=text("'skip'"))
    mapping: Mapped[dict[str, Any] | None]
    """Field -> column, as asked for; what was found in the file once it is read."""
    table_format: Mapped[dict[str, Any] | None]
    """How the file is written: encoding, delimiter, header."""
    rows_total: Mapped[int] = mapped_column(server_default=text("0"))
    """Rows so far."""
    rows_created: Mapped[int] = mapped_column(server_default=text("0"))
    rows_updated: Mapped[int] = mapped_column(server_default=text("0"))
    rows_duplicate: Mapped[int] = mapped_column(server_default=text("0"))
    rows_invalid: Mapped[int] = mapped_column(server_default=text("0"))
    progress: Mapped[float] = mapped_column(server_default=text("0"))
    """How much of the file is read, 0 to 1."""
    run: Mapped[int] = mapped_column(server_default=text("0"))
    chunk: Mapped[int] = mapped_column(server_default=text("0"))
    lease_until: Mapped[datetime | None]
    """Until when nobody else works on it."""
    failed_rows_file: Mapped[UUID | None] = references(File.id, ondelete="SET NULL")
    uploaded_at: Mapped[CreatedAt]
    started_at: Mapped[datetime | None]
    processed_at: Mapped[datetime | None]

    @property
    def percent(self) -> int:
        """How much of the file is read."""
        return int(self.progress * 100)


class Contact(Changing, Base):
    """Somebody a campaign is about. Within it an address, or a telephone number, is there once."""

    __tablename__ = "contacts"
    __table_args__ = (
        one_of("status", *get_args(ContactStatus)),
        CheckConstraint("email IS NOT NULL OR phone IS NOT NULL", name="reachable"),
        UniqueConstraint("campaign_id", "match_key"),
        Index("ix_contacts_campaign_id_id", "campaign_id", "id"),
        Index("ix_contacts_campaign_id_status_id", "campaign_id", "status", "id"),
        Index("ix_contacts_agent_id_campaign_id_id", "agent_id", "campaign_id", "id"),
        Index("ix_contacts_search", "search", postgresql_using="gin"),
    )

    id: Mapped[Id]
    campaign_id: Mapped[UUID] = references(Campaign.id, ondelete="RESTRICT", index=False)
    upload_id: Mapped[UUID | None] = references(CampaignUpload.id, ondelete="RESTRICT")
    """The import that made it."""
    agent_id: Mapped[UUID | None] = references(Agent.id, ondelete="RESTRICT", index=False)
    external_id: Mapped[str | None]
    full_name: Mapped[str | None]
    email: Mapped[str | None]
    """In lower case."""
    phone: Mapped[str | None]
    """E.164."""
    attributes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    status: Mapped[ContactStatus] = mapped_column(Text, server_default=text("'new'"))
    worked_version: Mapped[int | None]
    """The version that somebody's work made last; what imports do is none."""
    match_key: Mapped[str] = mapped_column(Computed("coalesce(email, phone)", persisted=True))
    search: Mapped[str] = searched(
        "words_of(coalesce(full_name, '') || ' ' || coalesce(email, '') || ' ' "
        "|| coalesce(phone, '') || ' ' || coalesce(external_id, ''))"
    )


class ContactActivity(Base):
    """A call or another attempt at a contact, and what came of it."""

    __tablename__ = "contact_activities"
    __table_args__ = (
        one_of("outcome", *get_args(Outcome)),
        CheckConstraint("duration >= 0", name="duration"),
        Index("ix_contact_activities_contact_id_id", "contact_id", "id"),
    )

    id: Mapped[Id]
    campaign_id: Mapped[UUID] = references(Campaign.id, ondelete="RESTRICT")
    contact_id: Mapped[UUID] = references(Contact.id, ondelete="RESTRICT", index=False)
    agent_id: Mapped[UUID | None] = references(Agent.id, ondelete="RESTRICT")
    user_id: Mapped[UUID | None] = references(User.id, ondelete="SET NULL")
    outcome: Mapped[Outcome] = mapped_column(Text)
    note: Mapped[str] = mapped_column(server_default=text("''"))
    duration: Mapped[int] = mapped_column(server_default=text("0"))
    """Seconds."""
    at: Mapped[CreatedAt]


class UploadChange(Base):
    """A contact that an import changed, as it was before."""

    __tablename__ = "upload_changes"

    upload_id: Mapped[UUID] = references(CampaignUpload.id, ondelete="CASCADE", index=False, primary_key=True)
    contact_id: Mapped[UUID] = references(Contact.id, ondelete="CASCADE", primary_key=True)
    before: Mapped[dict[str, Any]]
    version: Mapped[int]
    """The contact's version as the import left it: a later one says that somebody has worked on it since."""


class UploadFailure(Base):
    """A row that was not taken, as it came."""

    __tablename__ = "upload_failures"

    upload_id: Mapped[UUID] = references(CampaignUpload.id, ondelete="CASCADE", index=False, primary_key=True)
    line: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    reason: Mapped[str]
    cells: Mapped[list[str]] = mapped_column(ARRAY(Text))


class ContactStaging(Base):
    """Rows of one chunk of one run on their way into `contacts`. Unlogged: an import reads them again."""

    __tablename__ = "contact_staging"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)

    upload_id: Mapped[UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    chunk: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    line: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    external_id: Mapped[str | None]
    full_name: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    attributes: Mapped[dict[str, Any]]


def _merging(table: str, *keys: str) -> tuple[Index, Index]:
    """What finds the new tallies of a table, and what there is one merged one of."""
    new = Index(f"ix_{table}_new", "id", postgresql_where=text("NOT merged"))
    merged = Index(
        f"uq_{table}_merged", *keys, unique=True, postgresql_where=text("merged"), postgresql_nulls_not_distinct=True
    )
    return new, merged


class ContactTally(Base):
    """How many contacts of a campaign have which status and agent: the sum of `n`.

    Triggers add a row for each change, in its transaction, so that nobody waits for a counter that somebody else
    holds; `event_dispatcher` merges them into one row for each campaign, agent and status.
    """

    __tablename__ = "contact_tallies"
    __table_args__ = (
        Index("ix_contact_tallies_agent_id", "agent_id"),
        *_merging("contact_tallies", "campaign_id", "agent_id", "status"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    campaign_id: Mapped[UUID] = mapped_column(index=True)
    agent_id: Mapped[UUID | None]
    status: Mapped[str]
    n: Mapped[int]
    merged: Mapped[bool] = mapped_column(server_default=text("false"))


class ActivityTally(Base):
    """How many activities of a campaign there were, by day (UTC), agent and outcome; kept as `ContactTally` is."""

    __tablename__ = "activity_tallies"
    __table_args__ = (
        Index("ix_activity_tallies_campaign_id_day", "campaign_id", "day"),
        Index("ix_activity_tallies_agent_id_day", "agent_id", "day"),
        *_merging("activity_tallies", "campaign_id", "day", "agent_id", "outcome"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    campaign_id: Mapped[UUID]
    agent_id: Mapped[UUID | None]
    day: Mapped[dt.date] = mapped_column(Date)
    outcome: Mapped[str]
    n: Mapped[int]
    seconds: Mapped[int] = mapped_column(BigInteger)
    merged: Mapped[bool] = mapped_column(server_default=text("false"))
