"""Bodies of conversations."""

from typing import Annotated, ClassVar, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from quintet.db.models.conversations import ConversationRole
from quintet.http.schemas import Input, Output, Timestamp, Update, text

MAX_MEMBERS = 200
SHOWN_MEMBERS = 20
PREVIEW = 200
"""Characters of the last message."""
MANY = 100
"""Unread messages of a conversation are counted up to here."""

Title = Annotated[str, text(200, min_length=1)]


class ConversationCreate(Input):
    """A direct conversation with `user_id`, or a group with a `title` and members."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})
    aliases: ClassVar = {
        "user_id": ("userId",),
        "title": ("name",),
        "member_ids": ("memberIds", "user_ids"),
        "project_id": ("projectId",),
    }

    user_id: UUID | None = Field(None, description="The other one of a direct conversation; alone.")
    title: Title | None = Field(None, description="Of a group.")
    member_ids: list[UUID] = Field([], max_length=MAX_MEMBERS - 1, description="Of a group, besides the caller.")
    project_id: UUID | None = Field(None, description="A project the group talks about, of which the caller is one.")

    @model_validator(mode="after")
    def _direct_or_group(self) -> Self:
        if (self.user_id is None) is (self.title is None):
            raise ValueError("send either user_id, for a direct conversation, or title, for a group")
        if self.user_id and (self.member_ids or self.project_id):
            raise ValueError("a direct conversation has neither member_ids nor project_id")
        return self


class ConversationUpdate(Update):
    """The fields to change; of groups."""

    aliases: ClassVar = {"title": ("name",)}

    title: Title = ""


class MemberShown(Output):
    """Somebody who takes part; `id` is the account's."""

    id: UUID
    full_name: str
    role: ConversationRole


class MessagePreview(Output):
    """What was said last."""

    id: UUID
    sender_id: UUID
    sender_name: str
    text: str = Field(description=f"Its first {PREVIEW} characters; empty once it is deleted.")
    attachment_count: int
    created_at: Timestamp
    deleted_at: Timestamp | None


class ConversationRead(Output):
    """A conversation as the caller sees it."""

    id: UUID
    is_group: bool
    title: str | None = Field(description="Of a group.")
    project_id: UUID | None
    members: list[MemberShown] = Field(description=f"Those who joined first, {SHOWN_MEMBERS} at most.")
    member_count: int
    last_message: MessagePreview | None
    last_read_message_id: UUID | None = Field(description="What the caller has read up to.")
    unread_count: int = Field(description=f"Messages of others after that; {MANY} stands for {MANY} or more.", le=MANY)
    created_by: UUID
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class Unread(Output):
    """What the caller has not read yet, over all their conversations."""

    conversations: int = Field(description="In how many there is something.")
    messages: int = Field(description=f"How many there are; of each conversation {MANY} at most.")
