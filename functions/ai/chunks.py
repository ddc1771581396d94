"""The stream as front ends know it: the AI SDK's UI message stream (version 7 of `ai`, ui-message-chunks.ts).

Server-Sent Events, each a JSON object with a `type`; `[DONE]` ends them. `Message` is what they add up to.
"""

import json
from typing import Any

Chunk = dict[str, Any]
Part = dict[str, Any]

DONE = "data: [DONE]\n\n"
KEEP_ALIVE = ": still here\n\n"
"""A comment, which readers drop."""

HEADERS = {
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",  # a proxy is not to wait for more
    "x-vercel-ai-ui-message-stream": "v1",
}


def encoded(*chunks: Chunk) -> str:
    """These chunks as events."""
    return "".join(f"data: {json.dumps(chunk, ensure_ascii=False, separators=(',', ':'))}\n\n" for chunk in chunks)


def decoded(stream: str) -> list[Chunk]:
    """The chunks of a stream, or of its beginning."""
    events = (line.removeprefix("data: ") for line in stream.split("\n\n") if line.startswith("data: {"))
    return [json.loads(event) for event in events]


class Message:
    """The parts of an answer, put together from its chunks as the AI SDK's client does it."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self._texts: dict[str, Part] = {}
        self._tools: dict[str, Part] = {}

    def add(self, chunk: Chunk) -> None:
        """What comes next."""
        match chunk["type"]:
            case "start-step":
                self.parts = [{"type": "step-start"}]  # of what comes before it, the run before this one has the parts
            case "text-start":
                self._texts[chunk["id"]] = self._part({"type": "text", "text": "", "state": "done"})
            case "text-delta":
                self._texts[chunk["id"]]["text"] += chunk["delta"]
            case "source-url" | "source-document":
                self.parts.append(chunk)
            case "tool-input-available":
                part = {"type": f"tool-{chunk['toolName']}", "toolCallId": chunk["toolCallId"]}
                part |= {"state": "input-available", "input": chunk["input"]}
                self._tools[chunk["toolCallId"]] = self._part(part)
            case "tool-input-error":
                part = {"type": f"tool-{chunk['toolName']}", "toolCallId": chunk["toolCallId"]}
                part |= {"state": "output-error", "errorText": chunk["errorText"]}
                self._tools[chunk["toolCallId"]] = self._part(part | {"rawInput": chunk["input"]})
            case "tool-approval-request":
                tool = self._tools[chunk["toolCallId"]]
                tool |= {"state": "approval-requested", "approval": {"id": chunk["approvalId"]}}

    def _part(self, part: Part) -> Part:
        self.parts.append(part)
        return part


def message_of(stream: str) -> Message:
    """What the chunks of a stream add up to."""
    message = Message()
    for chunk in decoded(stream):
        message.add(chunk)
    return message
