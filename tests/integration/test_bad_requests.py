"""Whatever is sent as query, path, header or form, the answer is a 4xx that says where it is wrong."""

import json
import re
from typing import Any
from uuid import uuid4

import pytest

from quintet.http.problems import MAX_ERRORS
from tests.support.api import Api
from tests.support.attempts import Attempts, named, takes
from tests.support.documented import operations
from tests.support.expect import pointers, problem
from tests.support.importing import campaign_of

pytestmark = pytest.mark.usefixtures("stack")

FORM = "application/x-www-form-urlencoded"
WITH_FORM = [key for key, operation in operations().items() if operation.body_schema(FORM)]


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


def test_given_a_query_parameter_that_there_is_not_then_400_names_it_but_pages_behind_links_open(api: Api) -> None:
    pages = []
    for key, operation in operations().items():
        answer = api.request(
            operation.method, re.sub(r"\{\w+\}", str(uuid4()), operation.path), query="utm_source=x&token=x"
        )
        forms = operation.spec["responses"].get("200", {}).get("content", {})
        if next(iter(forms), "") == "text/html":  # a page before all; providers add to their links, as mailers do
            pages.append(key)
            assert "utm_source" not in str(answer.body), key
            continue
        assert answer.status == 400, (key, answer)
        assert "query/utm_source" in pointers(answer), (key, answer)
    assert {"GET /auth/password-reset/page", "POST /notifications/unsubscribe"} <= set(pages)


@pytest.mark.parametrize(
    ("path", "sent", "advice"),
    [
        ("/campaigns/{id}/data/status", "uplaod", "There is no such query parameter. Did you mean `upload`?"),
        ("/campaigns/{id}/contacts", "Status", "There is no such query parameter. Did you mean `status`?"),
        (
            "/reports/campaigns/{id}",
            "start",
            "There is no such query parameter. There are `from`, `to`, `bucket`, `format`.",
        ),
        ("/sessions", "page", "There is no such query parameter. There are `limit`, `cursor`."),
        ("/projects/{id}", "fields", "This address takes no query parameters."),
    ],
)
def test_given_a_misspelt_query_parameter_then_the_answer_helps(api: Api, path: str, sent: str, advice: str) -> None:
    answer = api.get(path.replace("{id}", str(uuid4())), query=f"{sent}=x")
    assert problem(answer, 400)["errors"] == [{"pointer": f"query/{sent}", "detail": advice}]


def test_given_an_import_with_a_misspelt_dry_run_then_nothing_is_imported(user: Api) -> None:
    campaign = campaign_of(user)
    answer = user.post(f"/campaigns/{campaign}/data", {"file_id": str(uuid4())}, query="dryRun=true")
    assert problem(answer, 400)["errors"] == [
        {"pointer": "query/dryRun", "detail": "There is no such query parameter. Did you mean `dry_run`?"}
    ]


def test_given_many_query_parameters_that_there_are_not_then_the_first_are_named(api: Api) -> None:
    answer = api.get("/projects", query="&".join(f"{n}{'x' * 100}=1" for n in range(1000)))
    assert len(pointers(answer)) == MAX_ERRORS


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
            if (parameter["name"], what) == ("emoji", "emoji"):
                continue
            if parameter["name"] == "chat_id" and re.fullmatch(r"[\w.:-]{1,200}", value, re.ASCII):
                continue  # clients make these up
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
