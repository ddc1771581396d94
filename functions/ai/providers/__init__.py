"""Who answers: one small interface, and whoever is behind it.

A provider is given a prompt and gives events, as they come. What it cannot do it says by `ProviderError`, whose text
says nothing of what was sent, or of the key.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID

FinishReason = Literal["stop", "length", "content-filter", "tool-calls", "other"]


class ProviderError(Exception):
    """The provider did not answer, or not to the end. `kind` is for logs: a status, or the class of an error."""

    def __init__(self, kind: str, *, busy: bool = False) -> None:
        super().__init__(kind)
        self.kind, self.busy = kind, busy


@dataclass(frozen=True, slots=True)
class Source:
    """Something the asker may read, and where it is."""

    kind: Literal["project", "task", "conversation", "message", "file"]
    id: UUID
    title: str
    text: str
    media_type: str = "text/plain"
    path: str = ""
    """Of this API, without prefix."""


@dataclass(frozen=True, slots=True)
class Call:
    """A tool that was called, and what came of it."""

    id: str
    name: str
    input: dict[str, Any]
    result: str


@dataclass(frozen=True, slots=True)
class Turn:
    """What one of the two said; the assistant may have called tools."""

    role: Literal["user", "assistant"]
    text: str
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, slots=True)
class Tool:
    """What may be called: its input as JSON Schema."""

    name: str
    description: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What a provider is asked. `turns` end with the user's question, or with a tool's result."""

    system: str
    turns: Sequence[Turn]
    sources: Sequence[Source] = ()
    tools: Sequence[Tool] = ()
    project_id: UUID | None = None
    """The project the user is looking at."""
    conversation_id: UUID | None = None
    boundary: str = ""
    """Parts documents from what is around them; nobody could know it before."""
    max_tokens: int = 2_000

    def question(self) -> str:
        """What the user said last."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user"), "")

    def expected(self) -> "Usage":
        """What an answer may use at most, about: four characters a token."""
        said = sum(len(turn.text) + sum(len(call.result) for call in turn.calls) for turn in self.turns)
        return Usage((len(self.system) + said + len(self.documents())) // 4, self.max_tokens)

    def documents(self) -> str:
        """The sources as text, numbered as they are to be cited."""
        marked = (
            f'<document-{self.boundary} number="{n}" kind="{source.kind}">\n{source.title}\n\n{source.text}\n'
            f"</document-{self.boundary}>"
            for n, source in enumerate(self.sources, 1)
        )
        return "\n".join(marked)


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer."""

    delta: str


@dataclass(frozen=True, slots=True)
class ToolStart:
    """A tool is called; its input follows."""

    key: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolInput:
    """A piece of a tool's input, which is JSON."""

    key: str
    delta: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens: of the prompt, and of the answer so far."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer is complete."""

    reason: FinishReason = "stop"


Event = Text | ToolStart | ToolInput | Usage | Finish


class Answer(Protocol):
    """An answer on its way."""

    def __iter__(self) -> Iterator[Event]:
        """Its events, the last of which is a `Finish`; ProviderError when it breaks off."""

    def close(self) -> None:
        """End it, from any thread: the provider is told by its connection's end, and the iteration is over soon."""


class Provider(Protocol):
    """Who answers."""

    name: str
    """As users are told it."""

    def answer(self, prompt: Prompt) -> Answer:
        """Begin to answer. What takes time happens when the answer is iterated."""


@dataclass(slots=True)
class Fixed:
    """An answer that is there already."""

    events: list[Event] = field(default_factory=list)

    def __iter__(self) -> Iterator[Event]:
        return iter(self.events)

    def close(self) -> None:
        """Nothing is under way."""


def provider() -> Provider:
    """The one the settings name."""
    from quintet.config import settings

    config = settings()
    if config.ai_provider == "bedrock":
        from functions.ai.providers.bedrock import Bedrock

        return Bedrock(config.ai_model)
    if config.ai_provider == "openai":
        from functions.ai.keys import api_key
        from functions.ai.providers.openai import OpenAI

        return OpenAI(config.ai_base_url, config.ai_model, api_key)
    from functions.ai.providers.offline import Offline

    return Offline()
