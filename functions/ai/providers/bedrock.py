"""Amazon Bedrock, by ConverseStream: one form for every model it has.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from functions.ai.providers import (
    Event,
    Finish,
    FinishReason,
    Prompt,
    ProviderError,
    Text,
    ToolInput,
    ToolStart,
    Turn,
    Usage,
)

_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "content_filtered": "content-filter",
    "guardrail_intervened": "content-filter",
    "tool_use": "tool-calls",
}
_BUSY = frozenset({"ThrottlingException", "ServiceUnavailableException", "ModelNotReadyException"})


class Bedrock:
    """A model, or an inference profile, by its id."""

    name = "bedrock"

    def __init__(self, model: str) -> None:
        self._model = model

    def answer(self, prompt: Prompt) -> "_Converse":
        """Begin to answer."""
        request: dict[str, Any] = {
            "modelId": self._model,
            "system": [{"text": prompt.system}],
            "messages": _messages(prompt),
            "inferenceConfig": {"maxTokens": prompt.max_tokens},
        }
        if prompt.tools:
            request["toolConfig"] = {
                "tools": [
                    {
                        "toolSpec": {
                            "name": tool.name,
                            "description": tool.description,
                            "inputSchema": {"json": tool.schema},
                        }
                    }
                    for tool in prompt.tools
                ]
            }
        return _Converse(request)


class _Converse:
    """One request and its stream."""

    def __init__(self, request: dict[str, Any]) -> None:
        self._request = request
        self._response: Any = None
        self._closed = False

    def close(self) -> None:
        """End the connection; what waits for it wakes up."""
        self._closed = True
        if self._response is not None:
            with suppress(ValueError, RuntimeError, OSError):  # it has ended already
                self._response.shutdown()

    def __iter__(self) -> Iterator[Event]:
        from botocore.exceptions import BotoCoreError, ClientError, EventStreamError
        from urllib3.exceptions import HTTPError

        from quintet.aws import bedrock

        try:
            stream = bedrock().converse_stream(**self._request)["stream"]
            self._response = _http_response(stream)
            if self._closed:
                raise ProviderError("closed")
            yield from _events(stream)
        except (ClientError, EventStreamError) as error:
            code = error.response.get("Error", {}).get("Code", "")
            raise ProviderError(code, busy=code in _BUSY) from None
        except (BotoCoreError, HTTPError, OSError, ValueError, LookupError) as error:
            raise ProviderError(type(error).__name__) from None
        finally:
            if self._response is not None:
                self._response.close()


def _http_response(stream: Any) -> Any:
    """urllib3's response, which alone can be ended while another thread waits for it."""
    return stream._raw_stream


def _events(stream: Any) -> Iterator[Event]:
    reason: FinishReason | None = None
    for event in stream:
        match event:
            case {"contentBlockDelta": {"delta": {"text": str(text)}}}:
                if text:
                    yield Text(text)
            case {"contentBlockStart": {"contentBlockIndex": key, "start": {"toolUse": {"name": str(name)}}}}:
                yield ToolStart(str(key), name)
            case {"contentBlockDelta": {"contentBlockIndex": key, "delta": {"toolUse": {"input": str(text)}}}}:
                yield ToolInput(str(key), text)
            case {"messageStop": {"stopReason": str(stopped)}}:
                reason = _REASONS.get(stopped, "other")
            case {"metadata": {"usage": usage}}:
                yield Usage(usage["inputTokens"], usage["outputTokens"])
    if reason is None:
        raise ProviderError("broke off")
    yield Finish(reason)


def _messages(prompt: Prompt) -> list[dict[str, Any]]:
    """Turns of user and assistant by turns, as the API wants them: what follows of one role joins it."""
    messages: list[dict[str, Any]] = []

    def say(role: str, *blocks: dict[str, Any]) -> None:
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        elif blocks:
            messages.append({"role": role, "content": [*blocks]})

    for turn in prompt.turns:
        say(turn.role, *_blocks(turn))
        if turn.calls:
            say("user", *({"toolResult": _result(call.id, call.result)} for call in turn.calls))
    if prompt.sources:
        say("user", {"text": prompt.documents()})
    return messages


def _blocks(turn: Turn) -> list[dict[str, Any]]:
    said = [{"text": turn.text}] if turn.text.strip() else []
    return said + [{"toolUse": {"toolUseId": c.id, "name": c.name, "input": c.input}} for c in turn.calls]


def _result(id: str, text: str) -> dict[str, Any]:
    return {"toolUseId": id, "content": [{"text": text}]}
