"""Any server that speaks OpenAI's chat completions, as a stream: vLLM, Ollama, llama.cpp, OpenAI itself.

By the standard library: an answer that is stopped must end the connection at once, from another thread, which a
socket of our own does and no client library promises. `openai` would add some ten megabytes to the layer besides.
"""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

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

_CONNECT_SECONDS = 5
_SILENCE_SECONDS = 60
"""How long a server may say nothing."""
_MAX_LINE = 1024 * 1024

_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
}


class OpenAI:
    """A server by its base URL, such as `https://api.openai.com/v1`."""

    name = "openai"

    def __init__(self, url: str, model: str, key: Callable[[], str]) -> None:
        self._url, self._model, self._key = urlsplit(url), model, key

    def answer(self, prompt: Prompt) -> "_Completion":
        """Begin to answer."""
        body = {
            "model": self._model,
            "messages": _messages(prompt),
            "stream": True,
            "stream_options": {"include_usage": True},
            "max_tokens": prompt.max_tokens,
        }
        if prompt.tools:
            body["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "description": tool.description, "parameters": tool.schema},
                }
                for tool in prompt.tools
            ]
        kind = HTTPSConnection if self._url.scheme == "https" else HTTPConnection
        connection = kind(self._url.hostname or "", self._url.port, timeout=_CONNECT_SECONDS)
        return _Completion(connection, f"{self._url.path.rstrip('/')}/chat/completions", json.dumps(body), self._key)


class _Completion:
    """One request and its stream."""

    def __init__(self, connection: HTTPConnection, path: str, body: str, key: Callable[[], str]) -> None:
        self._connection, self._path, self._body, self._key = connection, path, body, key
        self._closed = False

    def close(self) -> None:
        """End the connection; what waits for it wakes up."""
        self._closed = True
        if sock := self._connection.sock:
            with suppress(OSError):  # it has ended already
                sock.shutdown(socket.SHUT_RDWR)

    def __iter__(self) -> Iterator[Event]:
        try:
            yield from self._events()
        except (OSError, HTTPException, ValueError, LookupError, TypeError, AttributeError) as error:
            raise ProviderError(type(error).__name__) from None
        finally:
            self._connection.close()

    def _events(self) -> Iterator[Event]:
        headers = {"content-type": "application/json", "accept": "text/event-stream"}
        if key := self._key():
            headers["authorization"] = f"Bearer {key}"
        self._connection.connect()
        sock = self._connection.sock
        sock.settimeout(_SILENCE_SECONDS)
        if self._closed:
            raise ProviderError("closed")
        self._connection.request("POST", self._path, self._body.encode(), headers)
        # It lets go of the connection when the server is to close it; what shuts it down still has to find it.
        response = self._connection.getresponse()
        self._connection.sock = sock
        if response.status != 200:
            raise ProviderError(str(response.status), busy=response.status in (429, 503))
        reason: FinishReason | None = None
        for data in _data(response):
            for event in _read(data):
                if isinstance(event, Finish):
                    reason = event.reason
                else:
                    yield event
        if reason is None:
            raise ProviderError("broke off")
        yield Finish(reason)


def _data(response: HTTPResponse) -> Iterator[dict[str, Any]]:
    """The objects of the server's events, up to `[DONE]` or the end."""
    while line := response.readline(_MAX_LINE):
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        yield json.loads(data)


def _read(data: dict[str, Any]) -> Iterator[Event]:
    if "error" in data:
        raise ProviderError("error in the stream")
    for choice in data.get("choices") or []:
        delta = choice.get("delta") or {}
        if text := delta.get("content"):
            yield Text(str(text))
        for call in delta.get("tool_calls") or []:
            function, key = call.get("function") or {}, str(call.get("index", 0))
            if function.get("name"):
                yield ToolStart(key, str(function["name"]))
            if function.get("arguments"):
                yield ToolInput(key, str(function["arguments"]))
        if reason := choice.get("finish_reason"):
            yield Finish(_REASONS.get(reason, "other"))
    if usage := data.get("usage"):
        yield Usage(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))


def _messages(prompt: Prompt) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": prompt.system}]
    for n, turn in enumerate(prompt.turns):
        messages += _turn(turn)
        if n == len(prompt.turns) - 1 and turn.role == "user" and prompt.sources:
            messages[-1]["content"] += f"\n\n{prompt.documents()}"
    return messages


def _turn(turn: Turn) -> list[dict[str, Any]]:
    if not turn.calls:
        return [{"role": turn.role, "content": turn.text}]
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": json.dumps(call.input)}}
        for call in turn.calls
    ]
    results = [{"role": "tool", "tool_call_id": call.id, "content": call.result} for call in turn.calls]
    return [{"role": "assistant", "content": turn.text or None, "tool_calls": calls}, *results]
