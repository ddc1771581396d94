"""`POST /ai`: suggestions, formatting and validation, as JSON and as a stream."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from functions.ai.documents import formatted, issues_in
from functions.ai.providers.offline import NOTICE
from tests.support.api import Api
from tests.support.assisting import chunks_of, kinds, of, said, until
from tests.support.expect import pointers, problem
from tests.support.language_model import Model, Script, endless, model, saying, text_event
from tests.support.uploading import project_of

pytestmark = pytest.mark.usefixtures("stack")

SSE = {"accept": "text/event-stream"}


def rules(text: str, media_type: str = "text/markdown") -> list[tuple[int, str]]:
    return [(issue.line, issue.rule) for issue in issues_in(text, media_type)]


def test_given_a_document_when_formatted_then_it_is_in_its_usual_form(user: Api) -> None:
    answer = user.post("/ai", {"task": "format", "text": "Title\n=====\n* one\n* two\n\n1) a\n1) b"}).json()
    assert answer["text"] == "# Title\n\n- one\n- two\n\n1. a\n2. b\n"
    assert (answer["provider"], answer["valid"], answer["sources"]) == ("offline", None, [])
    packed = {"task": "format", "text": '{"b":1,"a":[]}', "media_type": "application/json"}
    assert user.post("/ai", packed).json()["text"] == '{\n  "b": 1,\n  "a": []\n}\n'
    plain = {"task": "format", "text": "a  \nb", "media_type": "text/plain"}
    assert user.post("/ai", plain).json()["text"] == "a\nb\n"


def test_given_a_formatted_document_when_formatted_again_then_it_stays() -> None:
    once = formatted("Title\n===\n* one\n\n```\ncode\n```\n| a | b |\n|--|--|\n", "text/markdown")
    assert formatted(once, "text/markdown") == once


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A\n\ntext [x](https://example.com/a) [y](#a)\n", []),
        ("# A\n\n[x]()\n", [(3, "link-empty")]),
        ("# A\n\n[x](#nowhere)\n", [(3, "link-anchor")]),
        ("# A\n\n[x](https://)\n", [(3, "link-broken")]),
        ("# A\n\n[x][y]\n", [(3, "link-undefined")]),
        ("# A\n\n[x][y]\n\n[y]: https://example.com\n", []),
        ("# A\n\ntext\n\n### B\n\ntext\n", [(5, "heading-level")]),
        ("# A\n\ntext\n\n# A\n\ntext\n", [(5, "heading-duplicate")]),
        ("#\n\ntext\n", [(1, "heading-empty")]),
        ("# A\n\n## B\n\n## C\n\ntext\n", [(3, "section-empty")]),
        ("# A\n\ntext\n\n## B\n", [(5, "section-empty")]),
        ("# A\n\n```\n[x]()\n# no heading\n```\n", []),
        ("# A\n\n`[x]()`\n", []),
        ("# A\n\n```\nopen\n", [(3, "code-open")]),
        ("# C#\n\n[x](#c)\n", []),
        ("", []),
    ],
)
def test_given_markdown_then_what_is_wrong_with_it_is_found(text: str, expected: list[tuple[int, str]]) -> None:
    assert rules(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": [1]}', []),
        ('{"a": 1,\n"b" 2}', [(2, "json-syntax")]),
        ('{"a": 1, "a": 2}', [(1, "json-duplicate")]),
    ],
)
def test_given_json_then_what_is_wrong_with_it_is_found(text: str, expected: list[tuple[int, str]]) -> None:
    assert rules(text, "application/json") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9" * 5_000, []),
        ('{"a": NaN}', [(1, "json-syntax")]),
        ("[Infinity]", [(1, "json-syntax")]),
        ('{"\\ud800": 1, "\\ud800": 2}', [(1, "json-duplicate")]),
    ],
)
def test_given_json_at_its_edges_then_it_is_judged_all_the_same(
    user: Api, text: str, expected: list[tuple[int, str]]
) -> None:
    asked = {"task": "validate", "text": text, "media_type": "application/json"}
    answer = user.post("/ai", asked)
    assert answer.status == 200, answer
    assert [(issue["line"], issue["rule"]) for issue in answer.json()["issues"]] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[1.10,1e999,-0.0,12345678901234567890.123456789]", "1.10 1e999 -0.0 12345678901234567890.123456789"),
        ("[" + "9" * 5_000 + "]", "9" * 5_000),
        (r'["\ud800","\u0000", "caf\u00e9"]', r'"\ud800" "\u0000" "café"'),
    ],
)
def test_given_json_when_formatted_then_what_it_says_stays(user: Api, text: str, expected: str) -> None:
    answer = user.post("/ai", {"task": "format", "text": text, "media_type": "application/json"})
    assert answer.status == 200, answer
    assert " ".join(answer.json()["text"].replace(",", "").split()) == f"[ {expected} ]"


@pytest.mark.parametrize(
    ("text", "told"),
    [("[NaN]", "NaN"), ('{"a": 1, "a": 2}', "“a” more than once"), ("[" * 50_000, "nested too deeply")],
)
def test_given_json_that_would_lose_something_when_formatted_then_400_says_what(
    user: Api, text: str, told: str
) -> None:
    refused = problem(user.post("/ai", {"task": "format", "text": text, "media_type": "application/json"}), 400)
    assert told in refused["errors"][0]["detail"]


def test_given_json_of_many_names_then_it_takes_no_time() -> None:
    began = time.monotonic()
    assert rules("{" + ",".join(f'"{n}":1' for n in range(11_000)) + "}", "application/json") == []
    assert time.monotonic() - began < 1


def test_given_json_that_is_nothing_but_depth_then_it_is_wrong_and_harms_nobody() -> None:
    assert len(rules("[" * 50_000, "application/json")) == 1


@pytest.mark.parametrize("piece", ["[", "[](", "# ", "#", "[a][", "![", "`", "```\n", "[a](<", "](", "- ", "> "])
def test_given_a_text_that_is_all_signs_then_it_takes_no_time(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    began = time.monotonic()
    issues_in(text, "text/markdown")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\ntitle: A plan\ntags:\n  - one\n---\n* a", "---\ntitle: A plan\ntags:\n  - one\n---\n\n- a\n"),
        ("* a\n\n[later]: https://example.com", "* a\n\n[later]: https://example.com\n"),
        ("> " * 25 + "deep", "> " * 25 + "deep\n"),
        ("* caf&eacute; &amp; *b*", "- café & *b*\n"),
        ("***\n\n* a", f"{'_' * 70}\n\n- a\n"),
    ],
)
def test_given_markdown_when_formatted_then_no_word_is_lost(text: str, expected: str) -> None:
    assert formatted(text, "text/markdown") == expected


@pytest.mark.parametrize(
    "piece", ["---\na: b\n", "[", "# ", "- ", "> ", "a\n", "  - a\n", "*a* ", "`a` ", "| a |\n|--|\n", "a  \n"]
)
def test_given_a_text_that_is_much_of_the_same_when_formatted_then_it_takes_seconds_at_most(
    user: Api, piece: str
) -> None:
    text, began = piece * (100_000 // len(piece)), time.monotonic()
    assert user.post("/ai", {"task": "format", "text": text}).status in (200, 400)
    # AND as much of it as is formatted
    marks = sum(map(piece.count, "*_`["))
    fewer = min(len(text) // len(piece), 3_000 // (piece.count("\n") or 1), 10_000 // (marks or 1))
    formatted = user.post("/ai", {"task": "format", "text": piece * fewer})
    assert formatted.status == 200, formatted
    assert time.monotonic() - began < 12


def test_given_a_model_that_says_much_when_it_formats_then_it_is_left_as_it_is(user: Api) -> None:
    with model(saying("a\n" * 4_000)):
        answer = user.post("/ai", {"task": "format", "text": "x"})
        assert answer.json()["text"] == "a\n" * 4_000
        assert answer.json()["provider"] == "openai"


def test_given_a_document_when_validated_then_the_answer_has_its_issues_and_says_them(user: Api) -> None:
    answer = user.post("/ai", {"task": "validate", "text": "# A\n\n[x]()\n"}).json()
    assert (answer["valid"], answer["issues"]) == (
        False,
        [{"line": 3, "rule": "link-empty", "message": "A link leads nowhere"}],
    )
    assert answer["text"] == f"{NOTICE}\n\n- Line 3: A link leads nowhere (`link-empty`)"
    good = user.post("/ai", {"task": "validate", "text": "# A\n\ntext\n"}).json()
    assert (good["valid"], good["issues"]) == (True, [])


def test_given_a_project_then_suggestions_draw_on_it(owner: Api) -> None:
    project_id = project_of(owner)
    owner.post("/tasks", {"project_id": project_id, "title": "Order brass"})
    with model(saying("Order brass [1].")) as played:
        answer = owner.post("/ai", {"task": "suggest", "project_id": project_id}).json()
    assert answer["text"] == "Order brass [1]."
    [source] = answer["sources"]
    assert (source["number"], source["kind"], source["href"]) == (1, "project", f"/api/v1/projects/{project_id}")
    asked = played.requests[0]
    assert "Order brass" in asked["messages"][-1]["content"]
    assert "tools" not in asked
    problem(owner.post("/ai", {"task": "suggest", "project_id": "01900000-0000-7000-8000-000000000000"}), 400)


def test_given_an_event_stream_is_accepted_then_it_is_one(owner: Api) -> None:
    project_id = project_of(owner)
    with model(saying("Order ", "brass [1].")):
        chunks = chunks_of(owner.post("/ai", {"task": "suggest", "project_id": project_id}, headers=SSE))
    assert kinds(chunks) == [
        *("start", "start-step", "text-start", "text-delta", "text-end", "source-url", "finish-step", "finish"),
    ]
    assert said(chunks) == "Order brass [1]."
    chunks = chunks_of(owner.post("/ai", {"task": "format", "text": "* a"}, headers=SSE))
    assert said(chunks) == "- a\n"


def test_given_a_model_that_fails_then_it_is_a_503_or_an_error_in_the_stream(user: Api) -> None:
    body = {"task": "suggest", "text": "x"}
    with model(saying("x"), status=500):
        assert problem(user.post("/ai", body), 503)["detail"] == "The model did not answer. Try again."
        chunks = chunks_of(user.post("/ai", body, headers=SSE))
        assert kinds(chunks)[-1] == "error"


def test_given_an_endless_model_then_the_answer_is_cut(user: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.ai.jobs.MAX_CHARACTERS", 300)
    with model(endless("x" * 50, pause=0.0)) as played:
        assert len(user.post("/ai", {"task": "suggest", "text": "x"}).json()["text"]) < 500
        assert of(chunks_of(user.post("/ai", {"task": "suggest", "text": "x"}, headers=SSE)), "finish")
        deadline = time.monotonic() + 2
        while len(played.left) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
    assert len(played.left) == 2


def test_given_a_model_that_says_nothing_for_too_long_then_it_is_left(
    user: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.ai.jobs.MAX_SECONDS", 0.5)

    def silent(*texts: str) -> Script:
        def script(_: Model, __: dict[str, Any]) -> Iterator[dict[str, Any] | float | None]:
            yield from map(text_event, texts)
            for _n in range(50):
                yield 0.1
                yield {"choices": []}

        return script

    began = time.monotonic()
    with model(silent()):
        problem(user.post("/ai", {"task": "suggest", "text": "x"}), 503)
    with model(silent("So far")) as played:
        assert user.post("/ai", {"task": "suggest", "text": "x"}).json()["text"] == "So far"
        chunks = chunks_of(user.post("/ai", {"task": "suggest", "text": "x"}, headers=SSE))
        assert (said(chunks), chunks[-1]["finishReason"]) == ("So far", "length")
        until(lambda: len(played.left) == 2)
    assert time.monotonic() - began < 4


def test_given_what_no_text_holds_then_it_is_left_out(user: Api) -> None:
    with model(saying("a\x00b", "\ud83d")):
        assert user.post("/ai", {"task": "suggest", "text": "x"}).json()["text"] == "ab?"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/task"),
        ({"task": "dance", "text": "x"}, "/task"),
        ({"task": "format"}, "/text"),
        ({"task": "suggest"}, "/text"),
        ({"task": "format", "text": "x", "taks": 1}, "/taks"),
        ({"task": "format", "text": "x" * 100_001}, "/text"),
        ({"task": "format", "text": "{", "media_type": "application/json"}, "/text"),
        ({"task": "format", "text": "x", "media_type": "image/png"}, "/media_type"),
    ],
)
def test_given_what_is_wrong_then_400_names_it(user: Api, body: dict[str, Any], pointer: str) -> None:
    refused = user.post("/ai", body)
    assert refused.status == 400, refused
    assert pointers(refused) == [pointer]
