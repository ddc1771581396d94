"""Whatever is sent, the answer is a 4xx that says where it is wrong: never a 5xx, and nothing is written."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.attempts import Attempts, counts, named, takes
from tests.support.documented import operations

pytestmark = pytest.mark.usefixtures("stack")

FORM = "application/x-www-form-urlencoded"
WITH_JSON = [key for key, operation in operations().items() if operation.body_schema()]

MALFORMED: dict[str, bytes] = {
    "cut": b'{"title": "x',
    "an opening brace": b"{",
    "two values": b"{} {}",
    "a word": b"title",
    "NUL": b"\x00",
    "not UTF-8": b'{"title": "\xff\xfe"}',
    "a trailing comma": b'{"title": "x",}',
    "single quotes": b"{'title': 'x'}",
    "10,000 lists": b"[" * 10_000 + b"]" * 10_000,
    "10,000 lists, never closed": b"[" * 10_000,
    "10,000 objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "10^5000": b"1" + b"0" * 5000,
    "10^5000 in an object": b'{"title": 1' + b"0" * 5000 + b"}",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"7",
    "true": b"true",
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
}
"""Bodies that are no JSON object."""

CONTENT_TYPES = [
    "text/plain",
    "application/xml",
    FORM,
    "multipart/form-data",
    "application/json, text/plain",
    "json",
    "",
]

STRANGE: dict[str, str] = {
    "null": "null",
    "a list": "[]",
    "a list of lists": "[[1]]",
    "an object": '{"a": 1}',
    "true": "true",
    "a number": "7",
    "a fraction": "0.5",
    "negative": "-1",
    "2^63": str(2**63),
    "2^64": str(2**64),
    "10^400": "1" + "0" * 400,
    "10^5000": "1" + "0" * 5000,
    "1e999": "1e999",
    "NaN": "NaN",
    "Infinity": "Infinity",
    "NUL": r'"a\u0000b"',
    "NUL in an object": r'{"a": ["\u0000"]}',
    "NUL in a key": r'{"a\u0000b": 1}',
    "half a surrogate": r'"a\ud800b"',
    "half a surrogate in a key": r'{"\udfff": 1}',
    "empty": '""',
    "blank": '" \\t "',
    "100,000 characters": '"' + "x" * 100_000 + '"',
    "no id": '"0190-no-id"',
    "900 lists": "[" * 900 + "]" * 900,
    "10,000 lists": "[" * 10_000 + "]" * 10_000,
    "nested settings": '{"a":' * 40 + "1" + "}" * 40,
}
"""Values, as they are written in JSON."""

UNSTORABLE = {
    "NaN",
    "Infinity",
    "1e999",
    "NUL in an object",
    "NUL in a key",
    "half a surrogate",
    "half a surrogate in a key",
}
"""Refused whatever the schema says: it cannot speak of these."""
WHOLE_BODY = {"10^5000", "10,000 lists"}
"""These stop the reading of the body, so no field can be named."""


@pytest.mark.parametrize("key", WITH_JSON)
def test_given_a_body_that_is_no_json_object_then_400_says_so(key: str) -> None:
    attempts = Attempts(key)
    good = json.dumps(attempts.body).encode()
    for what, body in MALFORMED.items():
        assert named(attempts.refused(what, body=body), ""), what
    for content_type in CONTENT_TYPES:
        assert attempts.refused(content_type, body=good, content_type=content_type).status == 400
    optional = not attempts.operation.spec["requestBody"].get("required", False)
    for what, body in {"nothing": b"", "null": b"null", "UTF-16": good.decode().encode("utf-16")}.items():
        answer = attempts.send(body=body)
        # JSON is UTF-8 (RFC 8259, 8.1), but the parser knows UTF-16 too.
        assert optional or answer.status < 400 or named(answer, "") or what == "UTF-16", what
    attempts.done()


@pytest.mark.parametrize("key", WITH_JSON)
def test_given_a_strange_value_in_any_field_then_400_names_the_field(key: str) -> None:
    attempts = Attempts(key)
    for name, schema in attempts.operation.body_schema()["properties"].items():
        if "Another name of" in schema.get("description", ""):
            continue
        for what, written in STRANGE.items():
            text = json.dumps({**attempts.body, name: "@here@"}).replace('"@here@"', written)
            answer = attempts.send(body=text.encode())
            if what in WHOLE_BODY:
                assert named(answer, ""), (name, what)
            elif what in UNSTORABLE or not takes(schema, json.loads(written)):
                assert answer.status == 400, f"{key} took {what} as {name}: {answer}"
                assert named(answer, f"/{name}"), (name, what, answer)
        large = json.dumps({**attempts.body, name: "x" * 1_000_000}).encode()
        if attempts.refused("1 MB", body=large).status == 400:  # where a body may be larger than that
            assert named(answer, f"/{name}"), name
    if key != "POST /ai/chat":  # the AI SDK sends more than we read
        unknown = attempts.refused("an unknown field", body=json.dumps({**attempts.body, "unknown": 1}).encode())
        assert named(unknown, "/unknown")
    attempts.done()


def test_given_two_names_of_a_field_nested_as_deep_as_the_parser_goes_then_400() -> None:
    attempts = Attempts("POST /projects")

    def refused(depth: int) -> bool:
        """Whether so many lists can be parsed; they are refused in any case."""
        deep = "[" * depth + "]" * depth
        answer = attempts.refused(f"{depth} lists", body=f'{{"title": {deep}, "name": {deep}}}'.encode())
        return "could not be read" not in answer.json()["detail"]

    parsed, unparsed = 10, 60_000
    while unparsed - parsed > 1:
        middle = (parsed + unparsed) // 2
        parsed, unparsed = (middle, unparsed) if refused(middle) else (parsed, middle)
    for depth in range(parsed - 40, parsed + 1):
        assert refused(depth)
    attempts.done()


def _json() -> st.SearchStrategy[Any]:
    scalars = (
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.uuids().map(str)
        | st.sampled_from(["\x00", "\ud800", "a@example.com", "draft", "x" * 300, 2**63, -(2**64), 1e308])
    )  # fmt: skip
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner), max_leaves=6
    )


@st.composite
def _bodies(draw: st.DrawFn) -> tuple[str, Any]:
    key = draw(st.sampled_from(WITH_JSON))
    names = sorted(operations()[key].body_schema()["properties"])
    known = st.dictionaries(st.sampled_from(names), _json(), max_size=len(names))
    return key, draw(known | _json())


@pytest.fixture(scope="module")
def worlds(stack: object) -> dict[str, Attempts]:
    """The attempts at each operation, kept for all examples."""
    return {}


@settings(
    max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(sent=_bodies())
def test_given_any_json_then_no_error_of_ours_and_what_is_refused_writes_nothing(
    worlds: dict[str, Attempts], sent: tuple[str, Any]
) -> None:
    key, value = sent
    attempts = worlds[key] = worlds.get(key) or Attempts(key)
    before = counts()
    answer = attempts.send(body=json.dumps(value).encode())
    if answer.status >= 400:
        assert counts() == before
