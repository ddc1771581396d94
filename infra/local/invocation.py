"""Invoking a function as Lambda does; the local run and the tests share it."""

import importlib
import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from functions.manifest import FUNCTIONS
from infra.local.events import ACCOUNT, REGION, Response, function_for, rest_event, rest_response

MAX_EVENT = 6 * 1024 * 1024 + 100
"""Bytes of JSON that Lambda takes in and gives out in one synchronous invocation."""


@dataclass(frozen=True, slots=True)
class Context:
    """What Lambda hands a handler beside the event."""

    function_name: str
    memory_limit_in_mb: int
    timeout: float
    """Seconds the invocation may take."""
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.monotonic)
    function_version: str = "$LATEST"
    log_stream_name: str = "local"
    identity: None = None
    client_context: None = None

    @property
    def invoked_function_arn(self) -> str:
        """The function's ARN."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{self.function_name}"

    @property
    def log_group_name(self) -> str:
        """The function's log group."""
        return f"/aws/lambda/{self.function_name}"

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda would stop the invocation."""
        return max(0, int((self.started + self.timeout - time.monotonic()) * 1000))


class TooLargeError(ValueError):
    """The event, or the answer, is over Lambda's 6 MB."""


def invoke(name: str, event: Mapping[str, Any], timeout: float | None = None, *, context: Context | None = None) -> Any:
    """Call the function's handler as Lambda does, in this thread: the event and the answer pass through JSON.

    `timeout` is in seconds, by default the manifest's; it is what the context tells the handler, since a
    thread cannot be stopped. An exception of the handler is the caller's.
    """
    function = FUNCTIONS[name]
    handler = importlib.import_module(f"functions.{name}.handler").handler
    if context is None:
        context = Context(name, function.memory, function.timeout if timeout is None else timeout)
    answer = json.dumps(handler(json.loads(_sized(json.dumps(event))), context))
    return json.loads(_sized(answer))


def _sized(payload: str) -> str:
    if len(payload) > MAX_EVENT:
        raise TooLargeError(f"{len(payload)} bytes of JSON; Lambda takes {MAX_EVENT}")
    return payload


def call(method: str, path: str, **parts: Any) -> Response:
    """One request through its function, without a network: `parts` are those of `rest_event`."""
    event = rest_event(method, path, **parts)
    return rest_response(invoke(function_for(path), event), request_id=event["requestContext"]["requestId"])
