"""Bodies of members."""

from typing import ClassVar, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator

from functions.conversations.conversations.schemas import MAX_MEMBERS, MemberShown
from quintet.http.schemas import Input, Output, Timestamp


class MembersAdd(Input):
    """Who is to take part: some, or one."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})
    aliases: ClassVar = {"user_ids": ("userIds", "member_ids"), "user_id": ("userId",)}

    user_ids: list[UUID] = Field(default_factory=list, min_length=1, max_length=MAX_MEMBERS)
    user_id: UUID | None = Field(None, description="Instead of `user_ids`.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if bool(self.user_ids) is bool(self.user_id):
            raise ValueError("send either user_ids or user_id")
        return self

    def named(self) -> dict[UUID, str]:
        """Each account once, and where in the body it is (an RFC 6901 pointer)."""
        if self.user_id:
            return {self.user_id: "/user_id"}
        return {user: f"/user_ids/{self.user_ids.index(user)}" for user in self.user_ids}


class MembersAdded(Output):
    """What adding came to, by the accounts' ids."""

    added: list[UUID] = Field(description="Newly.")
    already_members: list[UUID]


class ConversationMemberRead(MemberShown):
    """Somebody who takes part, and how far they have read."""

    last_read_message_id: UUID | None
    joined_at: Timestamp


class ReadSet(Input):
    """Up to where the caller has read."""

    aliases: ClassVar = {"message_id": ("messageId", "last_read_message_id")}

    message_id: UUID


class ReadPosition(Output):
    """Up to where the caller has read, which may be further than they said now."""

    last_read_message_id: UUID
    unread_count: int
