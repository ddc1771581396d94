"""What the tests of HTTP look for again and again."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from infra.local.events import Response
from quintet.observability import logger


def problem(answer: Response, status: int) -> dict[str, Any]:
    """The problem of an error answer, which is one (RFC 9457) and says no more than it should."""
    assert answer.status == status, answer
    assert answer.header("content-type") == "application/problem+json", answer
    content: dict[str, Any] = answer.json()
    assert content.keys() - {"errors", "next"} == {"type", "title", "status", "detail", "instance"}, answer
    assert content["status"] == status
    assert content["title"]
    assert content["detail"]
    assert content["instance"] == answer.header("x-request-id") == answer.header("x-amzn-requestid")
    for error in content.get("errors", []):
        assert error.keys() == {"pointer", "detail"}
        assert error["detail"]
    return content


def pointers(answer: Response) -> list[str]:
    """Where a 400 says the input is wrong."""
    return [error["pointer"] for error in answer.json()["errors"]]


@contextmanager
def logged() -> Iterator[list[dict[str, Any]]]:
    """What is logged while inside, filled in at the end: one record each, as CloudWatch would get it."""
    records: list[dict[str, Any]] = []
    buffer = io.StringIO()
    handler = logger.registered_handler
    assert hasattr(handler, "setStream")
    before = handler.setStream(buffer)
    try:
        yield records
    finally:
        handler.setStream(before)
        records += [json.loads(line) for line in buffer.getvalue().splitlines()]
