"""From what a provider says to the chunks of the stream."""

import re
import secrets
from collections.abc import Sequence
from typing import Any

from functions.ai import tools
from functions.ai.chunks import Chunk, message_of
from functions.ai.providers import FinishReason, Prompt, Source, Text, ToolInput, ToolStart, Usage

_CITED = re.compile(r"\[(\d{1,2}(?:\s*,\s*\d{1,2})*)\]")
_NUMBER = re.compile(r"\d+")


class Translation:
    """One answer, put together event by event. Opens and closes what the protocol wants opened and closed."""

    def __init__(self, begun: str, sources: Sequence[Source], *, base: str) -> None:
        self.message = message_of(begun)
        self.characters = 0
        self._sources, self._base = sources, base
        self._texts = 0
        self._open: str | None = None
        self._text = ""
        self._calls: list[dict[str, str]] = []
        self._tools: dict[str, dict[str, str]] = {}
        """The call that each key means now: some servers have one for all."""

    def add(self, event: Text | ToolStart | ToolInput) -> list[Chunk]:
        """The chunks of what came."""
        match event:
            case Text(delta):
                delta = storable(delta)
                self.characters += len(delta)
                self._text += delta
                return self._added(*self._opened(), {"type": "text-delta", "id": self._open, "delta": delta})
            case ToolStart(key, name):
                id, name = f"call_{secrets.token_hex(12)}", storable(name[:64])
                self.characters += 1 + len(name)
                self._tools[key] = {"id": id, "name": name, "input": ""}
                self._calls.append(self._tools[key])
                started = {"type": "tool-input-start", "toolCallId": id, "toolName": name}
                return self._added(*self._closed(), started)
            case ToolInput(key, delta) if key in self._tools:
                tool = self._tools[key]
                delta = storable(delta)
                self.characters += len(delta)
                tool["input"] += delta
                return self._added({"type": "tool-input-delta", "toolCallId": tool["id"], "inputTextDelta": delta})
        return []

    def finish(self, reason: FinishReason) -> list[Chunk]:
        """The chunks of a good end: what was proposed, what was cited."""
        chunks = self._closed()
        for call in self._calls:
            chunks += _proposed(call)
        proposed = any(chunk["type"] == "tool-approval-request" for chunk in chunks)
        if self._calls and not proposed and reason == "tool-calls":
            reason = "other"
        return self._added(*chunks, *self._cited(), {"type": "finish-step"}, {"type": "finish", "finishReason": reason})

    def fail(self, told: str) -> list[Chunk]:
        """The chunks of an end that the provider made."""
        return self._added(*self._closed(), {"type": "error", "errorText": told})

    def abort(self) -> list[Chunk]:
        """The chunks of an end that the user asked for."""
        return self._added(*self._closed(), {"type": "abort"})

    def estimated_usage(self, prompt: Prompt) -> Usage:
        """Where the provider does not tell: four characters a token."""
        return Usage(prompt.expected().input_tokens, self.characters // 4)

    def _opened(self) -> list[Chunk]:
        if self._open is not None:
            return []
        self._texts += 1
        self._open = f"text-{self._texts}"
        return [{"type": "text-start", "id": self._open}]

    def _closed(self) -> list[Chunk]:
        id, self._open = self._open, None
        return [] if id is None else [{"type": "text-end", "id": id}]

    def _cited(self) -> list[Chunk]:
        """The sources whose numbers the text has, each once, in their order."""
        numbers = {int(n) for cited in _CITED.findall(self._text) for n in _NUMBER.findall(cited)}
        return [_cited(source, self._base) for n, source in enumerate(self._sources, 1) if n in numbers]

    def _added(self, *chunks: Chunk) -> list[Chunk]:
        for chunk in chunks:
            self.message.add(chunk)
        return list(chunks)


def _proposed(tool: dict[str, str]) -> list[Chunk]:
    """A tool's input, and the question whether it may run; or what is wrong with it."""
    named: dict[str, Any] = {"toolCallId": tool["id"], "toolName": tool["name"]}
    try:
        given = tools.checked(tool["name"], tool["input"])
    except tools.RefusedError as refused:
        return [{"type": "tool-input-error", **named, "input": tool["input"], "errorText": str(refused)}]
    approval = {"type": "tool-approval-request", "approvalId": f"approval_{secrets.token_hex(12)}"}
    return [
        {"type": "tool-input-available", **named, "input": given},
        {**approval, "toolCallId": tool["id"]},
    ]


def _cited(source: Source, base: str) -> Chunk:
    id, url = f"{source.kind}:{source.id}", f"{base}{source.path}"
    if source.kind == "file":
        document = {"type": "source-document", "sourceId": id, "mediaType": source.media_type}
        # A document has no address in the protocol; this is where it has room for one.
        return {
            **document,
            "title": source.title,
            "filename": source.title,
            "providerMetadata": {"quintet": {"url": url}},
        }
    return {"type": "source-url", "sourceId": id, "url": url, "title": source.title}


def storable(text: str) -> str:
    """What PostgreSQL can hold of it: no NUL, no half of a surrogate pair."""
    return text.replace("\x00", "").encode(errors="replace").decode()
