"""Whatever a provider says, the stream keeps the protocol, and adds up to what is kept."""

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.ai.chunks import DONE, KEEP_ALIVE, Chunk, decoded, encoded, message_of
from functions.ai.providers import FinishReason, Source, Text, ToolInput, ToolStart
from functions.ai.translating import Translation

BEGUN = encoded({"type": "start", "messageId": "m"}, {"type": "start-step"})
SOURCES = [Source("task", UUID(int=n), f"Task {n}", "", path=f"/tasks/{n}") for n in range(3)]

said = st.one_of(
    st.builds(Text, st.text(max_size=20)),
    st.builds(Text, st.sampled_from(["[1]", "[2, 3]", "[", "1]", "[99]"])),
    st.builds(ToolStart, st.sampled_from("01"), st.sampled_from(["create_task", "summarise_conversation", "x"])),
    st.builds(ToolInput, st.sampled_from("012"), st.sampled_from(["{", "}", '"title": "x"', "[]", "null"])),
)


def kept(chunks: list[Chunk]) -> None:
    """Fail unless these are chunks in an order that the AI SDK's client takes."""
    texts: set[str] = set()
    tools: set[str] = set()
    ended: set[str] = set()
    for n, chunk in enumerate(chunks):
        match chunk["type"]:
            case "text-start":
                texts.add(chunk["id"])
            case "text-delta":
                assert chunk["id"] in texts
            case "text-end":
                texts.remove(chunk["id"])
            case "tool-input-start":
                tools.add(chunk["toolCallId"])
            case "tool-input-delta" | "tool-input-available" | "tool-input-error" | "tool-approval-request":
                assert chunk["toolCallId"] in tools
                if chunk["type"] in ("tool-input-available", "tool-input-error"):
                    ended.add(chunk["toolCallId"])
            case "finish" | "error" | "abort":
                assert n == len(chunks) - 1
    assert not texts
    assert chunks[-1]["type"] != "finish" or ended == tools
    assert chunks[-1]["type"] in ("finish", "error", "abort")


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(said, max_size=12), st.sampled_from(["stop", "tool-calls", "fail", "abort"]))
def test_given_anything_said_then_the_protocol_is_kept_and_the_stream_adds_up(events: list[Any], end: str) -> None:
    translation = Translation(BEGUN, SOURCES, base="/api/v1")
    chunks = [chunk for event in events for chunk in translation.add(event)]
    if end == "fail":
        chunks += translation.fail("It failed.")
    elif end == "abort":
        chunks += translation.abort()
    else:
        reason: FinishReason = "stop" if end == "stop" else "tool-calls"
        chunks += translation.finish(reason)
    stream = BEGUN + encoded(*chunks) + DONE
    kept(decoded(stream))
    assert message_of(stream).parts == translation.message.parts
    text = "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")
    assert text == "".join(part["text"] for part in translation.message.parts if part["type"] == "text")
    json.dumps(translation.message.parts).encode()  # as PostgreSQL is given it


def test_given_citations_then_each_source_is_named_once_in_order() -> None:
    translation = Translation(BEGUN, SOURCES, base="/dev/api/v1")
    translation.add(Text("As [3] and [1"))
    translation.add(Text(", 3] say; [7] is nobody."))
    urls = [chunk["url"] for chunk in translation.finish("stop") if chunk["type"] == "source-url"]
    assert urls == ["/dev/api/v1/tasks/0", "/dev/api/v1/tasks/2"]


@pytest.mark.parametrize("text", ["a\n\nb", "data: x\n\ndata: {}", "\u2028\u2029\r\n", "é🎉", '"\\'])
def test_given_any_text_then_an_event_is_one_line_and_comes_back_as_it_was(text: str) -> None:
    chunk = {"type": "text-delta", "id": "t", "delta": text}
    event = encoded(chunk)
    assert event.count("\n") == 2
    assert "\r" not in event
    assert decoded(KEEP_ALIVE + event + KEEP_ALIVE + DONE) == [chunk]
