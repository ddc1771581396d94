"""Projects and their members."""

from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, Changing, CreatedAt, Id, one_of, references, searched

ProjectStatus = Literal["draft", "active", "completed", "archived"]
ProductType = Literal["physical_product", "software", "service"]
MemberRole = Literal["owner", "editor", "viewer"]


class Project(Changing, Base):
    """A container of work. Its owner is also the member with the role `owner`."""

    __tablename__ = "projects"
    __table_args__ = (
        one_of("status", *get_args(ProjectStatus)),
        one_of("product_type", *get_args(ProductType)),
        Index("ix_projects_search", "search", postgresql_using="gin"),
    )

    id: Mapped[Id]
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default=text("''"))
    owner_id: Mapped[UUID] = references(User.id, ondelete="RESTRICT")
    status: Mapped[ProjectStatus] = mapped_column(Text, server_default=text("'draft'"))
    product_type: Mapped[ProductType | None] = mapped_column(Text)
    settings: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    archived_at: Mapped[datetime | None]
    search: Mapped[str] = searched("setweight(words_of(title), 'A') || setweight(words_of(description), 'B')")


class ProjectMember(Base):
    """Who may see a project, and as what."""

    __tablename__ = "project_members"
    __table_args__ = (
        one_of("role", *get_args(MemberRole)),
        # A person's projects, newest first: the keyset of the project list.
        Index("ix_project_members_user_id_project_id", "user_id", "project_id"),
    )

    project_id: Mapped[UUID] = references(Project.id, ondelete="CASCADE", index=False, primary_key=True)
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", index=False, primary_key=True)
    role: Mapped[MemberRole] = mapped_column(Text)
    created_at: Mapped[CreatedAt]
