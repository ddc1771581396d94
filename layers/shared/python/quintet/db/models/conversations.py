"""Conversations, who takes part in them, and what they say.

Whoever writes into a conversation, or changes who takes part, locks its row first and makes ids after that: so within
a conversation the order of ids is the order of commits, and a cursor on the id skips nothing.
"""

from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from quintet.db.models.accounts import User
from quintet.db.models.base import Base, Changing, CreatedAt, Id, one_of, references, searched
from quintet.db.models.files import File
from quintet.db.models.projects import Project

ConversationRole = Literal["owner", "member"]


class Conversation(Changing, Base):
    """Direct, between two, or a group with a title. A removed one has no members, hence no readers."""

    __tablename__ = "conversations"
    __table_args__ = (
        CheckConstraint("is_group = (title IS NOT NULL)", name="title"),
        CheckConstraint("is_group = (direct_key IS NULL)", name="direct_key"),
        Index("ix_conversations_removed", "id", postgresql_where=text("removed_at IS NOT NULL")),
    )

    id: Mapped[Id]
    title: Mapped[str | None]
    is_group: Mapped[bool]
    project_id: Mapped[UUID | None] = references(Project.id, ondelete="SET NULL")
    direct_key: Mapped[str | None] = mapped_column(unique=True)
    """Both accounts' ids, the smaller first: there is one direct conversation for a pair."""
    created_by: Mapped[UUID] = references(User.id, ondelete="RESTRICT")
    last_message_id: Mapped[UUID | None]
    """With `id` where there is none: when something was last said."""
    removed_at: Mapped[datetime | None]


class ConversationMember(Base):
    """Who takes part. A group has one owner; who is removed has no row, and reads nothing any more."""

    __tablename__ = "conversation_members"
    __table_args__ = (
        one_of("role", *get_args(ConversationRole)),
        Index("ix_conversation_members_user_id_conversation_id", "user_id", "conversation_id"),
    )

    conversation_id: Mapped[UUID] = references(Conversation.id, ondelete="CASCADE", index=False, primary_key=True)
    user_id: Mapped[UUID] = references(User.id, ondelete="RESTRICT", index=False, primary_key=True)
    role: Mapped[ConversationRole] = mapped_column(Text, server_default=text("'member'"))
    last_read_message_id: Mapped[UUID | None]
    """A position: messages up to here are read. It only moves forwards."""
    joined_at: Mapped[CreatedAt]


class Message(Changing, Base):
    """Something said. What is deleted leaves the row behind without its content."""

    __tablename__ = "messages"
    __table_args__ = (
        CheckConstraint("(content IS NULL) = (deleted_at IS NOT NULL)", name="content"),
        # Pages and unread counts, the latter from the index alone where the table is vacuumed.
        Index(
            "ix_messages_conversation_id_id", "conversation_id", "id", postgresql_include=["sender_id", "deleted_at"]
        ),
        Index("ix_messages_search", "search", postgresql_using="gin"),
    )

    id: Mapped[Id]
    conversation_id: Mapped[UUID] = references(Conversation.id, ondelete="CASCADE", index=False)
    sender_id: Mapped[UUID] = references(User.id, ondelete="RESTRICT")
    content: Mapped[dict[str, Any] | None]
    """A document, ProseMirror's way."""
    text: Mapped[str]
    """What the document says, without form: for search and previews."""
    reply_to_id: Mapped[UUID | None] = references("messages.id", ondelete="SET NULL")
    edited_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]
    search: Mapped[str] = searched("words_of(text)")


class Attachment(Base):
    """A file that was sent with a message: whoever may read the one may read the other."""

    __tablename__ = "attachments"

    message_id: Mapped[UUID] = references(Message.id, ondelete="CASCADE", index=False, primary_key=True)
    file_id: Mapped[UUID] = references(File.id, ondelete="CASCADE", primary_key=True)
    position: Mapped[int]


class MessageMention(Base):
    """Whom a message names, or, no longer `current`, has named: nobody is told of the same message twice."""

    __tablename__ = "message_mentions"

    message_id: Mapped[UUID] = references(Message.id, ondelete="CASCADE", index=False, primary_key=True)
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", primary_key=True)
    current: Mapped[bool] = mapped_column(server_default=text("true"))


class MessageReaction(Base):
    """An emoji that a member put to a message."""

    __tablename__ = "message_reactions"

    message_id: Mapped[UUID] = references(Message.id, ondelete="CASCADE", index=False, primary_key=True)
    user_id: Mapped[UUID] = references(User.id, ondelete="CASCADE", primary_key=True)
    emoji: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[CreatedAt]
