"""A real server that plays the model, by a script."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from quintet.config import settings


def text_event(text: str) -> dict[str, Any]:
    """A piece of text, as OpenAI streams it."""
    return {"choices": [{"index": 0, "delta": {"content": text}}]}


def tool_events(name: str, given: str, index: int = 0) -> list[dict[str, Any]]:
    """A tool call, as OpenAI streams it: its name, then its input in pieces."""
    first = {"index": index, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
    half = len(given) // 2
    pieces = [{"index": index, "function": {"arguments": part}} for part in (given[:half], given[half:])]
    return [{"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]} for call in (first, *pieces)]


def finish_events(reason: str = "stop", asked: int = 11, answered: int = 7) -> list[dict[str, Any]]:
    """The end of a completion."""
    return [
        {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
        {"choices": [], "usage": {"prompt_tokens": asked, "completion_tokens": answered}},
    ]


Script = Callable[["Model", dict[str, Any]], Iterator[dict[str, Any] | float | None]]
"""What a model says to a request: events, seconds to wait, or None to break off."""


@dataclass
class Model:
    """A server that speaks OpenAI's chat completions, by a script."""

    script: Script
    url: str = ""
    status: int = 200
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0
    left: list[float] = field(default_factory=list)
    """When a client was found gone."""
    ended: threading.Event = field(default_factory=threading.Event)


@contextmanager
def model(script: Script, status: int = 200) -> Iterator[Model]:
    """Such a server on a port of its own, which is the assistant's provider meanwhile."""
    import pytest

    played = Model(script, status=status)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            played.requests.append(body)
            played.headers.append({name.lower(): value for name, value in self.headers.items()})
            if played.status != 200:
                text = json.dumps({"error": {"message": f"no: {body['messages'][-1]['content']}"}}).encode()
                self.send_response(played.status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
                return
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            try:
                for event in played.script(played, body):
                    if event is None:
                        self.close_connection = True
                        self.connection.close()
                        return
                    if isinstance(event, float):
                        time.sleep(event)
                    else:
                        self._send(f"data: {json.dumps(event)}\n\n".encode())
                        played.sent += 1
                self._send(b"data: [DONE]\n\n")
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                played.left.append(time.monotonic())
                self.close_connection = True
            finally:
                played.ended.set()

        def _send(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    played.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AI_PROVIDER", "openai")
        patch.setenv("AI_BASE_URL", played.url)
        patch.setenv("AI_MODEL", "test-model")
        patch.setenv("AI_API_KEY", "sk-the-key-nobody-may-see")
        settings.cache_clear()
        yield played
    settings.cache_clear()
    server.shutdown()
    server.server_close()


def saying(*texts: str, pause: float = 0.0) -> Script:
    """A model that says these pieces, with a pause before each."""

    def script(_: Model, __: dict[str, Any]) -> Iterator[dict[str, Any] | float | None]:
        for text in texts:
            if pause:
                yield pause
            yield text_event(text)
        yield from finish_events()

    return script


def endless(text: str = "and on ", pause: float = 0.02) -> Script:
    """A model that does not end."""

    def script(_: Model, __: dict[str, Any]) -> Iterator[dict[str, Any] | float | None]:
        while True:
            yield text_event(text)
            yield pause

    return script
