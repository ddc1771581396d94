"""Bodies of messages."""

from typing import Annotated, Any, ClassVar, Self
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints, TypeAdapter, WithJsonSchema, model_validator

from functions.conversations.document import MAX_BYTES, Document, DocumentNode, of_text, size_of
from quintet.http.schemas import Input, Output, Timestamp, Update
from quintet.http.schemas import text as bounded

MAX_ATTACHMENTS = 20

_PICTURE = r"(?:[\p{Emoji}--[0-9#*]][\p{EMod}\x{FE0F}]?(?:[\x{E0020}-\x{E007E}]+\x{E007F})?)"
_EMOJI = rf"^(?:\p{{RI}}\p{{RI}}|[0-9#*]\x{{FE0F}}?\x{{20E3}}|{_PICTURE}(?:\x{{200D}}{_PICTURE})*)$"
_one_emoji = TypeAdapter(Annotated[str, StringConstraints(max_length=32, pattern=_EMOJI)])
"""One emoji by UTS #51, 1.4.9, in the regular expressions of pydantic's core, which know Unicode's properties."""


_textual = TypeAdapter(Annotated[str, StringConstraints(pattern=r"^[\p{Emoji}--\p{Emoji_Presentation}]$")])
"""A character that is shown as text unless U+FE0F follows."""


def _is(kind: TypeAdapter[str], value: str) -> bool:
    try:
        return bool(kind.validate_python(value))
    except ValueError:
        return False


def _emoji(value: str) -> str:
    """The emoji in the form UTS #51 calls fully qualified, of which there is one: ❤ and ❤️ are one emoji."""
    if not _is(_one_emoji, value):
        raise ValueError("not one emoji")
    plain = value.replace("\ufe0f", "")
    following = f"{plain[1:]}\0"
    return "".join(
        f"{one}\ufe0f" if _is(_textual, one) and not "\U0001f3fb" <= after <= "\U0001f3ff" else one
        for one, after in zip(plain, following, strict=True)
    )


Emoji = Annotated[
    str, AfterValidator(_emoji), WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 32, "examples": ["👍"]})
]


def _as_document(value: str) -> str:
    if size_of(of_text(value)) > MAX_BYTES:
        raise ValueError("too many lines; 64 KB at most as a document")
    return value


PlainText = Annotated[str, bounded(16_000, min_length=1), AfterValidator(_as_document)]


class _Said(Input):
    """What messages say: a document, or plain text that becomes one."""

    content: Document | None = Field(None, description="Rich text.")
    text: PlainText | None = Field(None, description="Instead of `content`: plain text, which becomes one paragraph.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.content and self.text:
            raise ValueError("send either content or text")
        return self

    def document(self) -> dict[str, Any]:
        """What is said as a document."""
        if isinstance(self.content, DocumentNode):
            return self.content.model_dump(mode="json", exclude_unset=True)
        return of_text(self.text or "")


class MessageCreate(_Said):
    """A new message: it says something, or brings files."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})
    aliases: ClassVar = {
        "attachments": ("attachment_ids", "attachmentIds", "file_ids"),
        "reply_to_id": ("replyToId", "reply_to"),
    }

    attachments: list[UUID] = Field(
        [],
        max_length=MAX_ATTACHMENTS,
        description="Files of the caller's own, in no project, with the purpose `attachment`, that are ready.",
    )
    reply_to_id: UUID | None = Field(None, description="A message of the same conversation.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.content or self.text or self.attachments):
            raise ValueError("send content, text or attachments")
        return self


class MessageUpdate(_Said, Update):
    """What the message is to say instead."""

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not (self.content or self.text):
            raise ValueError("send content or text")
        return self


class AttachmentRead(Output):
    """A file that was sent along; `GET /files/{id}` has the link."""

    id: UUID
    file_name: str
    content_type: str
    size: int = Field(description="Bytes.")


class ReactionRead(Output):
    """An emoji that members put to a message."""

    emoji: str
    count: int
    mine: bool = Field(description="The caller is one of them.")


class MessageRead(Output):
    """A message. Of a deleted one there is no more than when and by whom."""

    id: UUID
    conversation_id: UUID
    sender_id: UUID
    sender_name: str
    content: DocumentNode | None
    text: str = Field(description="What the content says, without form.")
    reply_to_id: UUID | None
    attachments: list[AttachmentRead]
    mentions: list[UUID] = Field(description="The accounts that are mentioned.")
    reactions: list[ReactionRead]
    created_at: Timestamp
    edited_at: Timestamp | None
    deleted_at: Timestamp | None
    version: int


class MessagePage(Output):
    """Messages, newest first, and the ways on to older and to newer ones."""

    items: list[MessageRead]
    next_cursor: str | None = Field(description="Send it as `?cursor=` for older messages; null at the end.")
    previous_cursor: str | None = Field(
        description="Send it as `?after=` for newer messages, now or later; null while there is no message."
    )
