"""Bodies of the assistant. What front ends send is the AI SDK's: of that, what is used is checked, the rest let be."""

from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from quintet.db.models.assistant import AiRole, AiStatus
from quintet.http.schemas import NO_NUL, Input, Output, Timestamp, text

MAX_QUESTION = 20_000
MAX_DOCUMENT = 100_000

CHAT_ID = r"^[A-Za-z0-9_.:-]+$"
ChatId = Annotated[str, Field(min_length=1, max_length=200, pattern=CHAT_ID)]
_MessageId = Annotated[str, Field(max_length=200, pattern=NO_NUL)]


_SEEN = {"project_id": ("projectId",), "conversation_id": ("conversationId",)}

_Document = Annotated[str, text(MAX_DOCUMENT)]


class _Lenient(BaseModel):
    """Part of what `useChat` sends: there is more in it, for others."""

    model_config = ConfigDict(extra="ignore")


class ChatApproval(_Lenient):
    """The user's word on a proposal."""

    id: str
    approved: bool | None = None
    reason: str | None = Field(None, max_length=1000, pattern=NO_NUL)


class ChatPart(_Lenient):
    """A part of a message: `text`, or a tool with what the user says to its proposal (`approval-responded`)."""

    type: str
    text: str = Field("", pattern=NO_NUL)
    state: str | None = None
    approval: ChatApproval | None = None


class ChatMessage(_Lenient):
    """A message, as the AI SDK has it."""

    id: _MessageId = ""
    role: Literal["user", "assistant"]
    parts: list[ChatPart] = Field(max_length=1000)


class ChatRequest(Input):
    """What `DefaultChatTransport` sends. Of the messages only the last one counts: the others are here already.

    That is a question, or the last answer with the user's word on what was proposed in it. Front ends send more.
    """

    model_config = ConfigDict(extra="ignore")
    aliases: ClassVar = _SEEN

    id: ChatId = Field(description="The conversation: any id that the client makes up. Each person has their own.")
    messages: list[ChatMessage] = Field(min_length=1)
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    message_id: _MessageId | None = Field(
        None, alias="messageId", description="The question to be replaced, or the answer to be made anew."
    )
    project_id: UUID | None = Field(None, description="The project the user is looking at.")
    conversation_id: UUID | None = Field(None, description="The conversation the user is looking at.")

    @model_validator(mode="before")
    @classmethod
    def _last_alone(cls, data: Any) -> Any:
        """Nobody reads the others, so nothing is wrong with them."""
        if isinstance(data, dict) and isinstance(data.get("messages"), list):
            return {**data, "messages": data["messages"][-1:]}
        return data


class ChatRead(Output):
    """A conversation with the assistant."""

    id: UUID
    chat_id: str = Field(description="The `id` that the client gave it.")
    title: str
    running: bool = Field(description="Whether it is being answered: `GET /ai/chat/{chat_id}/stream` follows that.")
    created_at: Timestamp
    updated_at: Timestamp


class ChatMessageRead(Output):
    """A message, as the AI SDK's `UIMessage`."""

    id: str
    role: AiRole
    parts: list[dict[str, Any]]
    status: AiStatus
    created_at: Timestamp


class ChatWithMessages(ChatRead):
    """A conversation with what was said, for `useChat({messages})`. An answer that is running is not among it."""

    messages: list[ChatMessageRead]


class TaskRequest(Input):
    """Something to be done with a text."""

    aliases: ClassVar = {**_SEEN, "text": ("input",)}

    task: Literal["suggest", "format", "validate"]
    text: _Document = ""
    media_type: Literal["text/markdown", "text/plain", "application/json"] = "text/markdown"
    project_id: UUID | None = Field(None, description="The project it is about.")
    conversation_id: UUID | None = Field(None, description="The conversation it is about.")


class Issue(Output):
    """Something wrong with a text."""

    line: int = Field(ge=1)
    rule: str
    message: str


class CitedSource(Output):
    """What was drawn on."""

    number: int = Field(description="As the text cites it: [1].")
    kind: Literal["project", "task", "conversation", "message", "file"]
    id: UUID
    title: str
    href: str


class TaskAnswer(Output):
    """What came of it."""

    task: Literal["suggest", "format", "validate"]
    provider: str = Field(description="Who answered; `offline` is none, and says so.")
    text: str
    valid: bool | None = Field(description="Of `validate`: whether there are no issues.")
    issues: list[Issue]
    sources: list[CitedSource]
