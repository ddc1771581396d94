"""Runs one function inside a runtime of `deployed`: commands on standard input, replies on REPLY_FD, both JSON lines.

Imports what Lambda has and nothing of the repository but the function, which it finds as Lambda does.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

import psycopg


def timed(action: Callable[[], Any], times: int) -> float:
    """Seconds that `times` calls of `action` take."""
    began = time.perf_counter()
    for _ in range(times):
        action()
    return time.perf_counter() - began


class Worker:
    """A function, warm, and what it is compared to."""

    def __init__(self, function: str) -> None:
        self.context = SimpleNamespace(function_name=function, aws_request_id="bench", memory_limit_in_mb=1024)
        self.context.invoked_function_arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
        self.handler = import_module(f"functions.{function}.handler").handler
        self.statements: list[tuple[Any, Any]] = []
        self.connection: psycopg.Connection[Any] | None = None
        self.bare: psycopg.Connection[Any] | None = None

    def events(self, events: list[Any]) -> dict[str, Any]:
        """Handle events one after the other: seconds, and the last answer."""
        answer: Any = None
        began = time.perf_counter()
        for event in events:
            answer = self.handler(event, self.context)
        return {"seconds": time.perf_counter() - began, "answer": answer}

    def record(self, event: Any) -> dict[str, Any]:
        """Handle an event and keep the statements it sends, with their parameters, for `replay`."""
        execute = psycopg.Cursor.execute
        self.statements.clear()

        def recording(cursor: Any, query: Any, params: Any = None, **options: Any) -> Any:
            self.statements.append((query, params))
            self.connection = cursor.connection
            return execute(cursor, query, params, **options)

        psycopg.Cursor.execute = recording  # type: ignore[assignment, method-assign]
        try:
            answer = self.handler(event, self.context)
        finally:
            psycopg.Cursor.execute = execute  # type: ignore[method-assign]
        return {"answer": answer, "statements": len(self.statements)}

    def replay(self, times: int) -> dict[str, Any]:
        """Send the recorded statements by bare psycopg and fetch their rows: seconds."""
        bare = self.bare = self.bare or psycopg.connect(
            os.environ["DATABASE_URL"], autocommit=True, prepare_threshold=None
        )

        def send() -> None:
            for query, params in self.statements:
                bare.execute(query, params).fetchall()

        return {"seconds": timed(send, times)}

    def round_trips(self, event: Any) -> dict[str, Any]:
        """Handle an event as libpq's trace sees it: how often the server became ready for the next query."""
        assert self.connection is not None
        with tempfile.TemporaryFile("w+") as trace:
            self.connection.pgconn.trace(trace.fileno())
            answer = self.handler(event, self.context)
            self.connection.pgconn.untrace()
            trace.seek(0)
            return {"answer": answer, "round_trips": sum("ReadyForQuery" in line for line in trace)}

    def verify(self, times: int, *, password: str, hash: str) -> dict[str, Any]:
        """Verify a password by argon2 and nothing else: seconds."""
        from argon2 import PasswordHasher

        hasher = PasswordHasher()
        return {"seconds": timed(lambda: hasher.verify(hash, password), times)}


def main() -> None:
    """Serve until standard input ends."""
    worker = Worker(sys.argv[1])
    with os.fdopen(int(os.environ["REPLY_FD"]), "w") as replies:
        for line in sys.stdin:
            command = json.loads(line)
            print(json.dumps(getattr(worker, command.pop("do"))(**command)), file=replies, flush=True)


if __name__ == "__main__":
    main()
