"""What the terminal shows. The worker writes one JSON object per line, as functions do on AWS; the supervisor
reads them and makes them readable, or hands them on as they are when LOG_FORMAT=json."""

import importlib
import json
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

_RESET, _DIM, _BOLD = "\x1b[0m", "\x1b[2m", "\x1b[1m"
_RED, _GREEN, _YELLOW = "\x1b[31m", "\x1b[32m", "\x1b[33m"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PLUMBING = (Path(__file__).parent, Path(importlib.__file__).parent, Path())
"""A traceback begins where these end: in a function."""


def emit(kind: str, **fields: Any) -> None:
    """Write one line of the local run's own: a `request`, a `batch`, a `schedule`."""
    now = datetime.now().astimezone().isoformat(timespec="milliseconds")
    # One write: the functions' logger writes to the same stream.
    sys.stdout.write(json.dumps({"timestamp": now, "kind": kind, **fields}) + "\n")
    sys.stdout.flush()


def error(message: str, exception: BaseException | None = None) -> None:
    """Write an error, with the traceback of `exception`."""
    text = ""
    if exception is not None:
        frames = exception.__traceback__
        while frames and frames.tb_next and Path(frames.tb_frame.f_code.co_filename).parent in _PLUMBING:
            frames = frames.tb_next
        text = "".join(traceback.format_exception(type(exception), exception, frames))
    emit("error", level="ERROR", message=message, exception=text)


class Terminal:
    """Shows a stream of such lines. Colours are used on a terminal only, and not when NO_COLOR is set."""

    def __init__(self, out: IO[str] = sys.stdout, *, raw: bool | None = None) -> None:
        self._out = out
        self._raw = os.environ.get("LOG_FORMAT") == "json" if raw is None else raw
        self._colour = out.isatty() and "NO_COLOR" not in os.environ
        self._lock = threading.Lock()

    def follow(self, stream: IO[bytes]) -> threading.Thread:
        """Show every line of `stream` until it ends, in a thread."""

        def pump() -> None:
            for line in stream:
                self.show(line.decode(errors="replace").rstrip("\n"))

        thread = threading.Thread(target=pump, name="terminal", daemon=True)
        thread.start()
        return thread

    def show(self, line: str) -> None:
        """Show one line."""
        text = line if self._raw else self._readable(line)
        if text:
            self.say(text)

    def say(self, text: str) -> None:
        """Write `text` as it is."""
        with self._lock:
            print(text, file=self._out, flush=True)

    def paint(self, text: str, *styles: str) -> str:
        """`text` in these styles, where there are colours."""
        return "".join(styles) + text + _RESET if self._colour and styles else text

    def bold(self, text: str) -> str:
        """`text` in bold, where there are colours."""
        return self.paint(text, _BOLD)

    def dim(self, text: str) -> str:
        """`text` in a weaker tone, where there are colours."""
        return self.paint(text, _DIM)

    def _readable(self, line: str) -> str:
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            return line
        if "_aws" in record:
            return ""  # metrics in the embedded format: for CloudWatch
        shape = _SHAPES.get(record.get("kind", ""))
        # What a client sent must not steer the terminal.
        record = {name: _tame(value) if isinstance(value, str) else value for name, value in record.items()}
        try:
            return shape(self, record) if shape else self._log(record)
        except KeyError:
            return line

    def _log(self, record: dict[str, Any]) -> str:
        level = str(record.get("level", "INFO"))
        message = record.get("message", "")
        if message == "request" and level == "INFO":
            return ""  # the function's own line about a request; the gateway shows one
        if not isinstance(message, str):
            message = json.dumps(message)
        more = {key: value for key, value in record.items() if key not in _KNOWN and value is not None}
        extra = " ".join(f"{key}={value}" for key, value in more.items())
        style = {"ERROR": _RED, "CRITICAL": _RED, "WARNING": _YELLOW}.get(level, _DIM)
        origin = record.get("function") or ""
        head = f"{_clock(record)}  {level:<7} {origin + ': ' if origin else ''}{message}"
        ids = record.get("request_id") or record.get("function_request_id") or ""
        text = self.paint(head, style) + (f"  {self.dim(extra)}" if extra else "")
        text += f"  {self.dim(ids)}" if ids else ""
        if exception := record.get("exception") or record.get("stack_trace"):
            text += "\n" + "\n".join(f"    {part}" for part in str(exception).rstrip().splitlines())
        return text

    def _request(self, record: dict[str, Any]) -> str:
        status = record["status"]
        style = _RED if status >= 500 else _YELLOW if status >= 400 else _GREEN
        what = f"{record['method']:<7}{record['path']}"
        return self._line(record, self.paint(f"{status:<6}", style), f"{what:<60}")

    def _batch(self, record: dict[str, Any]) -> str:
        outcome = self.paint("failed", _RED) if record["failed"] else self.paint("ok    ", _GREEN)
        failed = f", {record['failed']} of them failed" if record["failed"] else ""
        return self._line(record, outcome, f"{record['messages']} from the queue {record['queue']}{failed}")

    def _socket(self, record: dict[str, Any]) -> str:
        what = f"{record['function']:<17} {record['event']:<11}{record['status']}"
        return f"{self.dim(_clock(record))}  {self.dim('socket')} {what}  {self.dim(record['id'])}"

    def _schedule(self, record: dict[str, Any]) -> str:
        outcome = self.paint("failed", _RED) if record["failed"] else self.dim("ok    ")
        return self._line(record, outcome, self.dim("by the clock"))

    def _line(self, record: dict[str, Any], outcome: str, what: str) -> str:
        """One invocation: when, how it ended, how long it took, which function, what for, its request id."""
        return (
            f"{self.dim(_clock(record))}  {outcome} {record['ms']:>6} ms  {record['function']:<17} {what}  "
            f"{self.dim(record['request_id'])}"
        )


_KNOWN = {
    "level", "taskName", "message", "timestamp", "location", "service", "function", "request_id", "exception",
    "exception_name", "stack_trace", "kind", "function_request_id", "function_name",
    "function_arn", "function_memory_size", "cold_start", "sampling_rate", "xray_trace_id",
    "correlation_id",
}  # fmt: skip
_SHAPES: dict[str, Callable[[Terminal, dict[str, Any]], str]] = {
    "request": Terminal._request,
    "batch": Terminal._batch,
    "schedule": Terminal._schedule,
    "socket": Terminal._socket,
}


def _tame(text: str) -> str:
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def _clock(record: dict[str, Any]) -> str:
    try:
        moment = datetime.fromisoformat(str(record["timestamp"]).replace("Z", "+00:00"))
    except (KeyError, ValueError):
        moment = datetime.now(UTC)
    return moment.astimezone().strftime("%H:%M:%S")
