"""Answers without a model: what the documents say, word for word, and where. It says so in every answer."""

import json
import re
from collections.abc import Iterator

from functions.ai.providers import (
    Call,
    Event,
    Finish,
    Fixed,
    Prompt,
    Source,
    Text,
    ToolInput,
    ToolStart,
    Turn,
    Usage,
)
from functions.ai.words import sought

NOTICE = "No language model is set up here; this was put together without one."

_QUOTES, _OF_EACH = 6, 2
_QUOTE = 400
"""Characters of one."""
_PIECE = re.compile(r".{1,24}(?:\s|$)|\S{1,24}", re.DOTALL)
_SENTENCE = re.compile(r"[^\n.!?]+[.!?]*")
_CREATE = re.compile(r"\s*(?:please\s+)?(?:create|add|make)\s+(?:a\s+)?(?:new\s+)?task\b[:,\s]*(.+)", re.I | re.S)
_SUMMARISE = re.compile(r"\s*(?:please\s+)?summari[sz]e\s+(?:this|the)\s+(?:conversation|chat)\b", re.I)


class Offline:
    """The provider that needs none."""

    name = "offline"

    def answer(self, prompt: Prompt) -> Fixed:
        """What the documents say about the question, or the tool it plainly asks for."""
        last = prompt.turns[-1]
        if last.calls:
            return _said(_result(last.calls[-1]))
        if called := _tool(prompt, last):
            return Fixed([Text(NOTICE), *called, Usage(0, 0), Finish("tool-calls")])
        return _said("\n\n".join((NOTICE, *_quotes(prompt))))


def _said(text: str) -> Fixed:
    return Fixed([*(Text(piece) for piece in _PIECE.findall(text)), Usage(0, 0), Finish()])


def _tool(prompt: Prompt, last: Turn) -> list[Event]:
    """Only what the user says counts, never what documents do."""
    offered = {tool.name for tool in prompt.tools}
    if "create_task" in offered and prompt.project_id and (asked := _CREATE.fullmatch(last.text)):
        title = " ".join(asked[1].split()).rstrip(".")[:200]
        return _call("create_task", {"project_id": str(prompt.project_id), "title": title})
    if "summarise_conversation" in offered and prompt.conversation_id and _SUMMARISE.match(last.text):
        return _call("summarise_conversation", {"conversation_id": str(prompt.conversation_id)})
    return []


def _call(name: str, given: dict[str, str]) -> list[Event]:
    return [ToolStart("0", name), ToolInput("0", json.dumps(given))]


def _result(call: Call) -> str:
    return f"{NOTICE}\n\n{call.result}"


def _quotes(prompt: Prompt) -> Iterator[str]:
    """The sentences with most of the question's words, as they stand, cited."""
    words = sought(prompt.question())
    found: list[tuple[int, int, str]] = []
    for n, source in enumerate(prompt.sources, 1):
        found += sorted(_sentences(n, source, words), key=lambda quote: -quote[0])[:_OF_EACH]
    found = sorted(found, key=lambda quote: -quote[0])[:_QUOTES]
    if not found:
        yield (
            "Of what you may read, nothing has the words of your question."
            if not prompt.sources
            else "What you may read on this has no sentence with the words of your question; these come closest: "
            + ", ".join(f"{source.title} [{n}]" for n, source in enumerate(prompt.sources, 1))
            + "."
        )
    else:
        yield "What you may read says:"
    for _, n, sentence in found:
        yield f"> {sentence} [{n}]"


def _sentences(n: int, source: Source, words: frozenset[str]) -> Iterator[tuple[int, int, str]]:
    """How many of the words a sentence has, the number of its source, and the sentence."""
    for text in (source.title, source.text):
        for found in _SENTENCE.finditer(text):
            sentence = " ".join(found[0].split())
            if hits := len(words & sought(sentence)):
                yield hits, n, sentence[:_QUOTE]
