"""Stored objects and the folders they lie in."""

from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, Changing, Id, one_of, references, searched
from quintet.db.models.projects import Project

FileStatus = Literal["pending", "uploaded", "ready", "rejected"]
FilePurpose = Literal["asset", "attachment", "campaign_data"]


class Folder(Changing, Base):
    """A folder of a project. Two folders side by side have different names."""

    __tablename__ = "folders"
    __table_args__ = (
        Index(
            "uq_folders_project_id_parent_id_name",
            "project_id",
            "parent_id",
            "name",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = references(Project.id, ondelete="CASCADE", index=False)
    parent_id: Mapped[UUID | None] = references("folders.id", ondelete="CASCADE")
    name: Mapped[str]


class File(Changing, Base):
    """One stored object: pending -> uploaded -> ready | rejected.

    `version_id` is the object version that was checked; links give that version, later ones are ignored.
    """

    __tablename__ = "files"
    __table_args__ = (
        one_of("status", *get_args(FileStatus)),
        one_of("purpose", *get_args(FilePurpose)),
        CheckConstraint("size >= 0", name="size"),
        Index("ix_files_pending", "created_at", postgresql_where=text("status IN ('pending', 'uploaded')")),
        # What an account has under way, counted and summed.
        Index(
            "ix_files_owner_id_pending",
            "owner_id",
            postgresql_where=text("status = 'pending'"),
            postgresql_include=["size"],
        ),
        Index("ix_files_owner_id_id", "owner_id", "id"),
        # A person's own files, newest first, past however many they have in projects.
        Index("ix_files_personal", "owner_id", "id", postgresql_where=text("project_id IS NULL")),
        Index("ix_files_project_id_id", "project_id", "id"),
        Index("ix_files_search", "search", postgresql_using="gin"),
    )

    id: Mapped[Id]
    owner_id: Mapped[UUID] = references(User.id, ondelete="RESTRICT", index=False)
    project_id: Mapped[UUID | None] = references(Project.id, ondelete="RESTRICT", index=False)
    folder_id: Mapped[UUID | None] = references(Folder.id, ondelete="SET NULL")
    file_name: Mapped[str]
    bucket: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    content_type: Mapped[str]
    """As declared by the uploader."""
    detected_type: Mapped[str | None]
    """As the object's first bytes say."""
    size: Mapped[int] = mapped_column(BigInteger)
    """Bytes, as declared; the object is rejected when it differs."""
    sha256: Mapped[str | None]
    """Of the whole object, base64; none for a multipart upload (there is no such checksum)."""
    crc64nvme: Mapped[str | None]
    """Of the whole object of a multipart upload, base64, as its uploader says."""
    purpose: Mapped[FilePurpose] = mapped_column(Text, server_default=text("'asset'"))
    status: Mapped[FileStatus] = mapped_column(Text, server_default=text("'pending'"))
    upload_id: Mapped[str | None]
    """The multipart upload under way."""
    version_id: Mapped[str | None]
    sequencer: Mapped[str | None]
    reason: Mapped[str | None]
    """Why it was rejected, for the uploader to read."""
    uploaded_at: Mapped[datetime | None]
    checked_at: Mapped[datetime | None]
    """When `event_dispatcher` last looked whether the object of a pending file has arrived."""
    search: Mapped[str] = searched("words_of(file_name)")


class FileText(Base):
    """A passage of what a ready file says, in its order: some hundred words, by which it is found.

    Of a file that says nothing there is an empty one, once that is known.
    """

    __tablename__ = "file_texts"
    __table_args__ = (Index("ix_file_texts_search", "search", postgresql_using="gin"),)

    file_id: Mapped[UUID] = references(File.id, ondelete="CASCADE", index=False, primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str]
    search: Mapped[str] = searched("words_of(text)")
