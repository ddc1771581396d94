"""Whatever is sent, the answer is a 4xx that says where it is wrong: never a 5xx, and nothing is written."""

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator, oas31_format_checker

from infra.local.events import Response
from quintet.db.engine import owner_engine
from tests.access import ACCESS, Access
from tests.api import Api
from tests.documented import Operation, document, operations
from tests.expect import problem
from tests.world import World

pytestmark = pytest.mark.usefixtures("stack")

FORM = "application/x-www-form-urlencoded"
WITH_JSON = [key for key, operation in operations().items() if operation.body_schema()]
WITH_FORM = [key for key, operation in operations().items() if operation.body_schema(FORM)]

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


def counts() -> dict[str, int]:
    """How many rows each table has, but for rate limits, and for refused sign-ins, which are recorded."""
    with owner_engine().connect() as connection:
        tables = connection.exec_driver_sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition AND relname <> 'rate_counters' ORDER BY 1"
        ).scalars()
        asked = ", ".join(
            f"(SELECT count(*) FROM {table}{_EXCEPT.get(table, '')}) AS {table}" for table in list(tables)
        )
        return dict(connection.exec_driver_sql(f"SELECT {asked}").mappings().one())


_EXCEPT = {"events": " WHERE type <> 'session.refused'"}


class Attempts:
    """Requests about one operation by somebody who may do everything; each is to be refused."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.operation: Operation = operations()[key]
        self.access: Access = ACCESS[key]
        self._renew()

    def _renew(self) -> None:
        self.world = World()
        self.world.owner.with_roles("admin")
        self.parts = self.access.sends(self.world)
        self.path = self._path()
        self._before = counts()

    def _path(self, **changed: str) -> str:
        template = self.operation.path
        given = self.access.path(self.world)
        for name in re.findall(r"\{(\w+)\}", template):
            value = changed.get(name) or given.get(name) or getattr(self.world, name)
            template = template.replace(f"{{{name}}}", str(value))
        return template

    @property
    def body(self) -> dict[str, Any]:
        """A JSON body that has everything right."""
        sent: dict[str, Any] = self.parts.get("json_body", {})
        return sent

    def send(self, *, body: bytes | None = None, content_type: str = "application/json", **changed: Any) -> Response:
        """The request with something changed: its raw body, `query`, `headers`, or path parameters."""
        headers = {**self.parts.get("headers", {}), **changed.pop("headers", {})}
        query = changed.pop("query", list(self.parts.get("query", {}).items()))
        if body is not None:
            headers["content-type"] = content_type
        elif "json_body" in self.parts:
            body, headers["content-type"] = json.dumps(self.body).encode(), "application/json"
        path = self._path(**changed) if changed else self.path
        client: Api = self.world.owner
        sent = body if body is not None else self.parts.get("body", b"")
        answer = client.request(self.operation.method, path, body=sent, query=query, headers=headers)
        assert answer.status < 500, (self.key, answer)
        if answer.status < 400:
            self._renew()  # it was taken, and may have ended what later attempts are about
        elif answer.header("content-type") != "text/html; charset=utf-8":
            problem(answer, answer.status)
        return answer

    def refused(self, what: str, **changed: Any) -> Response:
        """`send`, and it has to be refused."""
        answer = self.send(**changed)
        assert answer.status >= 400, f"{self.key} took {what}"
        return answer

    def done(self) -> None:
        """Fail when one that was refused has written something."""
        assert counts() == self._before, self.key


def named(answer: Response, place: str) -> bool:
    """Whether an error is about this place, or something in it."""
    pointers = [error["pointer"] for error in answer.json().get("errors", [])]
    return any(pointer == place or pointer.startswith(f"{place}/") for pointer in pointers)


def takes(schema: dict[str, Any], value: Any) -> bool:
    """Whether the documented schema allows the value."""
    closed = {**schema, "components": document()["components"]}
    return bool(OAS31Validator(closed, format_checker=oas31_format_checker).is_valid(value))


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


def _raw(name: str) -> dict[str, str]:
    return {
        "a word": f"{name}=word",
        "empty": f"{name}=",
        "no value": name,
        "NUL": f"{name}=a%00b",
        "not UTF-8": f"{name}=%ff%fe",
        "half a surrogate": f"{name}=%ED%A0%80",
        "bad encoding": f"{name}=%zz%",
        "10^5000": f"{name}=1" + "0" * 5000,
        "2^64": f"{name}={2**64}",
        "negative": f"{name}=-1",
        "a fraction": f"{name}=0.5",
        "NaN": f"{name}=NaN",
        "100,000 characters": f"{name}=" + "x" * 100_000,
        "twice": f"{name}=a&{name}=%00",
        "a list": f"{name}[]=a&{name}[0]=b",
    }


@pytest.mark.parametrize("key", [key for key, operation in operations().items() if operation.parameters("query")])
def test_given_a_strange_value_in_any_query_parameter_then_400_names_it(key: str) -> None:
    attempts = Attempts(key)
    good = attempts.parts.get("query", {})
    for parameter in attempts.operation.parameters("query"):
        name, schema = parameter["name"], parameter["schema"]
        rest = "".join(f"&{other}={value}" for other, value in good.items() if other != name)
        is_text = takes(schema, "word") or takes(schema, "a/word") or name in ("cursor", "after")
        for what, raw in _raw(name).items():
            answer = attempts.send(query=raw + rest)
            if what in ("NUL", "twice") and takes(schema, "\x00"):
                continue
            if what in ("NUL", "twice") or (not is_text and what not in ("a list", "empty", "no value")):
                plausible = what in ("10^5000", "2^64", "negative", "a fraction", "NaN")
                if answer.status < 400 and plausible and takes(schema, _number(raw)):
                    continue
                assert answer.status == 400, f"{key} took {what} as {name}: {answer}"
                assert named(answer, f"query/{name}"), (name, what, answer)
    for raw in ("%", "%zz=%zz", "%ff=%ff", "%00=%00", "&&&==", "a" * 10_000, "\ufffd=1"):
        attempts.send(query=raw)


def _number(raw: str) -> Any:
    try:
        return json.loads(raw.partition("=")[2])
    except ValueError:
        return None


PATHS = {
    "a word": "word",
    "NUL": "%00",
    "not UTF-8": "%ff",
    "half a surrogate": "%ED%A0%80",
    "bad encoding": "%zz",
    "a lone percent": "%",
    "10,000 digits": "1" * 10_000,
    "almost an id": "01900000-0000-7000-8000-00000000000g",
    "an id and more": "01900000-0000-7000-8000-000000000000%20",
    "SQL": "1'%20OR%20'1'='1",
    "a path": "..%2f..%2fetc",
    "a space": "%20",
    "emoji": "%F0%9F%A6%86",
}


@pytest.mark.parametrize("key", [key for key, operation in operations().items() if operation.parameters("path")])
def test_given_a_strange_value_in_the_path_then_400_names_it(key: str) -> None:
    attempts = Attempts(key)
    for parameter in attempts.operation.parameters("path"):
        for what, value in PATHS.items():
            answer = attempts.refused(what, **{parameter["name"]: value})
            if what == "a path":  # two segments more: no route
                assert answer.status in (400, 404, 405), answer
            else:
                assert answer.status == 400, (what, answer)
                assert named(answer, f"path/{parameter['name']}"), (what, answer)
    attempts.done()


HEADERS = ["", '"', "\x00", "é", "x" * 20_000, ", ,", '"1" "2"', "\U0001f986"]
GENERAL = ["accept", "content-type", "cookie", "host", "origin", "range", "user-agent", "x-forwarded-for"]


@pytest.mark.parametrize("key", [key for key, operation in operations().items() if operation.parameters("header")])
def test_given_a_strange_value_in_any_header_of_an_operation_then_no_error_of_ours(key: str) -> None:
    attempts = Attempts(key)
    for parameter in attempts.operation.parameters("header"):
        for value in HEADERS:
            attempts.send(headers={parameter["name"].lower(): value})


@pytest.mark.parametrize(
    "key", ["GET /projects/{project_id}", "POST /projects", "POST /auth/login", "POST /auth/refresh"]
)
@pytest.mark.parametrize("name", GENERAL)
def test_given_a_strange_value_in_any_other_header_then_no_error_of_ours(key: str, name: str) -> None:
    attempts = Attempts(key)
    for value in HEADERS:
        attempts.send(headers={name: value})


BOUNDARY = "xyz"


def _multipart(*parts: str, end: str = "--xyz--\r\n") -> bytes:
    return ("".join(f"--xyz\r\n{part}\r\n" for part in parts) + end).encode("utf-8", "surrogateescape")


_FILE = 'Content-Disposition: form-data; name="file"; filename="{}"\r\nContent-Type: text/plain\r\n\r\nhello'
_FIELD = 'Content-Disposition: form-data; name="{}"\r\n\r\n{}'

FORMS: dict[str, bytes] = {
    "nothing": b"",
    "no part": _multipart(),
    "no disposition": _multipart("\r\nhello"),
    "no name": _multipart("Content-Disposition: form-data\r\n\r\nhello"),
    "text for the file": _multipart(_FIELD.format("file", "hello")),
    "an empty file name": _multipart(_FILE.format("")),
    "NUL in the file name": _multipart(_FILE.format("a\x00.txt")),
    "a path as the file name": _multipart(_FILE.format("../../etc/passwd")),
    "a long file name": _multipart(_FILE.format("x" * 5_000)),
    "another boundary": b"--abc\r\n" + _FILE.format("a.txt").encode() + b"\r\n--abc--\r\n",
    "1,500 fields": _multipart(*(_FIELD.format(f"f{n}", "x") for n in range(1_500)), _FILE.format("a.txt")),
    "a header of 100,000 characters": _multipart(f"X-Long: {'x' * 100_000}\r\n\r\nhello"),
    "no id for the project": _multipart(_FILE.format("a.txt"), _FIELD.format("project_id", "x")),
    "NUL for the folder": _multipart(_FILE.format("a.txt"), _FIELD.format("folder_id", "\x00")),
    "a strange purpose": _multipart(_FILE.format("a.txt"), _FIELD.format("purpose", "\x00")),
    "a large field": _multipart(_FILE.format("a.txt"), _FIELD.format("purpose", "x" * 2_000_000)),
    "JSON": b"{}",
    "binary": bytes(range(256)) * 40,
}


def test_given_a_broken_form_with_a_file_then_4xx() -> None:
    attempts = Attempts("POST /files")
    for what, body in FORMS.items():
        attempts.refused(what, body=body, content_type=f"multipart/form-data; boundary={BOUNDARY}")
    good = _multipart(_FILE.format("a.txt"))
    for content_type in (
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=other",
        f"multipart/form-data; boundary={'x' * 1000}",
        "multipart/form-data; boundary=\x00",
        "application/json",
        FORM,
        "text/plain",
        "",
    ):
        attempts.refused(content_type, body=good, content_type=content_type)
    attempts.done()


@pytest.mark.parametrize("key", WITH_FORM)
def test_given_a_broken_form_then_400(key: str) -> None:
    attempts = Attempts(key)
    for body in (
        b"",
        b"token",
        b"token=%00",
        b"token=%ff&password=%ff",
        b"&" * 2_000,
        b"a=1&" * 2_000,
        b"\x00\xff",
        b"{}",
    ):
        attempts.refused(repr(body[:20]), body=body, content_type=FORM)
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
