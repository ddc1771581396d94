"""Documents: every valid one is taken and its text found, everything else is a 400."""

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from functions.conversations.document import MAX_BYTES, MAX_DEPTH
from tests.support.api import Api
from tests.support.attempts import takes
from tests.support.conversing import group, may_send_on
from tests.support.documented import document
from tests.support.people import person

pytestmark = pytest.mark.usefixtures("stack")

NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def talk(stack: object) -> tuple[Api, str]:
    """Somebody, and a group of theirs."""
    user = person(full_name="Ada")
    return user, group(user)


def doc(*blocks: Any) -> dict[str, Any]:
    """A document of these blocks."""
    return {"type": "doc", "content": list(blocks)}


def paragraph(*nodes: Any) -> dict[str, Any]:
    """A paragraph of these nodes."""
    return {"type": "paragraph", "content": list(nodes)}


def text(words: str = "x", *marks: Any) -> dict[str, Any]:
    """Text with marks."""
    return {"type": "text", "text": words, "marks": list(marks)}


def link(href: Any, **more: Any) -> dict[str, Any]:
    """Text that is a link."""
    return text("x", {"type": "link", "attrs": {"href": href, **more}})


def quoted(levels: int) -> dict[str, Any]:
    """A document in which text stands on this level."""
    node: dict[str, Any] = paragraph(text())
    for _ in range(levels - 3):
        node = {"type": "blockquote", "content": [node]}
    return doc(node)


AT = "/content/content/0"
IN = f"{AT}/content/0"

REFUSED: dict[str, tuple[Any, str]] = {
    "no object": ([], "/content"),
    "another root": (paragraph(text()), "/content/type"),
    "nothing in it": (doc(), "/content/content"),
    "no type": (doc({}), AT),
    "a type that is no text": (doc({"type": ["paragraph"]}), AT),
    "an unknown node": (doc({"type": "image", "attrs": {"src": "x"}}), AT),
    "a node in the wrong place": (doc(text()), AT),
    "a block in a paragraph": (doc(paragraph(paragraph())), IN),
    "a document in a document": (doc(doc(paragraph())), AT),
    "an unknown attribute of a node": (doc({**paragraph(), "style": "x"}), f"{AT}/style"),
    "unknown attributes": (doc({**paragraph(), "attrs": {"align": "left"}}), f"{AT}/attrs"),
    "no level": (doc({"type": "heading"}), f"{AT}/attrs"),
    "level 7": (doc({"type": "heading", "attrs": {"level": 7}}), f"{AT}/attrs/level"),
    "level as text": (doc({"type": "heading", "attrs": {"level": "1"}}), f"{AT}/attrs/level"),
    "level true": (doc({"type": "heading", "attrs": {"level": True}}), f"{AT}/attrs/level"),
    "an empty list": (doc({"type": "bullet_list", "content": []}), f"{AT}/content"),
    "a list of paragraphs": (doc({"type": "bullet_list", "content": [paragraph()]}), f"{IN}/type"),
    "empty text": (doc(paragraph(text(""))), f"{IN}/text"),
    "no text": (doc(paragraph({"type": "text"})), f"{IN}/text"),
    "NUL": (doc(paragraph(text("a\x00"))), f"{IN}/text"),
    "half a surrogate": (doc(paragraph(text("\ud800"))), f"{IN}/text"),
    "an unknown mark": (doc(paragraph(text("x", {"type": "underline"}))), f"{IN}/marks/0"),
    "a mark with attributes": (doc(paragraph(text("x", {"type": "bold", "attrs": {}}))), f"{IN}/marks/0/attrs"),
    "six marks": (doc(paragraph(text("x", *[{"type": "bold"}] * 6))), f"{IN}/marks"),
    "a mark in code": (doc({"type": "code_block", "content": [text("x", {"type": "bold"})]}), f"{IN}/marks"),
    "a link with a target": (doc(paragraph(link("https://a.b", target="_top"))), f"{IN}/marks/0/attrs/target"),
    "a mention of nobody": (doc(paragraph({"type": "mention", "attrs": {"id": NOBODY}})), f"{IN}/attrs/id"),
    "a mention of no id": (doc(paragraph({"type": "mention", "attrs": {"id": "x"}})), f"{IN}/attrs/id"),
    "a mention with a name": (
        doc(paragraph({"type": "mention", "attrs": {"id": NOBODY, "label": "x"}})),
        f"{IN}/attrs/label",
    ),
    "blank text": (doc(paragraph(text("   "))), "/content"),
    "an empty paragraph": (doc(paragraph()), "/content"),
    "hard breaks only": (doc(paragraph({"type": "hard_break"}), paragraph()), "/content"),
    "an empty code block": (doc({"type": "code_block"}), "/content"),
    "a list of nothing": (
        doc({"type": "bullet_list", "content": [{"type": "list_item", "content": [paragraph()]}]}),
        "/content",
    ),
    "too deep": (quoted(MAX_DEPTH + 1), "/content"),
    "much too deep": (quoted(300), "/content"),
    "too large": (doc(paragraph(text("x" * MAX_BYTES))), "/content"),
}
for bad in (
    "javascript:alert(1)", "JavaScript:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "data:text/html,x",
    "vbscript:x", "file:///etc/passwd", "//evil.example", "/relative", "https://", "https:///x", "http:\\\\evil",
    "https://a b", "https://a\tb", 'https://a"b', "https://a<b", "mailto:", "ftp://a", "", "x", "https://a\x00",
    "https://" + "a" * 2100, 7, None, "https://a\n", "https://a\u2028b",
    "https://a\u202egpj.exe", "https://a\u2066b", "https://\u200fa", "mailto:a\u202d@b.c", "https://a/\u061c",
):  # fmt: skip
    REFUSED[f"the link {str(bad)[:30]!r}"] = (doc(paragraph(link(bad))), f"{IN}/marks/0/attrs/href")


@pytest.mark.parametrize("what", REFUSED)
def test_given_a_document_that_is_none_then_400_points_into_it(talk: tuple[Api, str], what: str) -> None:
    user, conversation = talk
    may_send_on(user)
    content, pointer = REFUSED[what]
    answer = user.request(
        "POST",
        f"/conversations/{conversation}/messages",
        body=json.dumps({"content": content}).encode(),
        headers={"content-type": "application/json"},
    )
    assert answer.status == 400, answer
    assert answer.json()["errors"][0]["pointer"] == pointer
    if pointer.endswith("/href"):
        assert not re.search(r"[\\^{[]", answer.json()["errors"][0]["detail"]), "an expression says nothing to people"


@pytest.mark.parametrize(
    "href",
    ["https://example.com", "HTTP://EXAMPLE.com:80/a?b=c&d#e", "mailto:a@b.c?subject=x", "https://bücher.example/ß"],
)
def test_given_a_link_to_the_web_or_a_mailbox_then_it_is_taken(talk: tuple[Api, str], href: str) -> None:
    user, conversation = talk
    may_send_on(user)
    assert user.post(f"/conversations/{conversation}/messages", {"content": doc(paragraph(link(href)))}).status == 201


def test_given_the_deepest_and_the_largest_document_then_they_are_taken(talk: tuple[Api, str]) -> None:
    user, conversation = talk
    overhead = len(json.dumps(doc(paragraph({"type": "text", "text": ""})), separators=(",", ":")))
    largest = doc(paragraph({"type": "text", "text": "x" * (MAX_BYTES - overhead)}))
    for content in (quoted(MAX_DEPTH), largest):
        may_send_on(user)
        assert user.post(f"/conversations/{conversation}/messages", {"content": content}).status == 201


def test_given_thousands_of_mistakes_then_the_answer_names_a_hundred(talk: tuple[Api, str]) -> None:
    user, conversation = talk
    may_send_on(user)
    answer = user.post(f"/conversations/{conversation}/messages", {"content": doc(*[1] * 30_000)})
    assert answer.status == 400
    assert len(answer.json()["errors"]) == 100


_letters = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=8)
_marks = st.lists(
    st.sampled_from([{"type": kind} for kind in ("bold", "italic", "strike", "code")])
    | st.just({"type": "link", "attrs": {"href": "mailto:a@b.c"}}),
    max_size=5,
)


def _inlines(user_id: str) -> st.SearchStrategy[tuple[list[Any], str]]:
    """Nodes of a line, and what they say."""
    node = st.one_of(
        st.tuples(_letters, _marks).map(lambda t: ({"type": "text", "text": t[0], "marks": t[1]}, t[0])),
        _letters.map(lambda t: ({"type": "text", "text": t}, t)),
        st.just(({"type": "hard_break"}, "\n")),
        st.just(({"type": "mention", "attrs": {"id": user_id}}, "@Ada")),
    )
    return st.lists(node, max_size=4).map(lambda nodes: ([n for n, _ in nodes], "".join(t for _, t in nodes)))


def _blocks(user_id: str) -> st.SearchStrategy[tuple[Any, str]]:
    """A block, and what it says."""
    line = _inlines(user_id)
    leaf = st.one_of(
        line.map(lambda t: ({"type": "paragraph", "content": t[0]}, t[1])),
        st.just(({"type": "paragraph"}, "")),
        st.tuples(st.integers(1, 6), line).map(
            lambda t: ({"type": "heading", "attrs": {"level": t[0]}, "content": t[1][0]}, t[1][1])
        ),
        _letters.map(lambda t: ({"type": "code_block", "content": [{"type": "text", "text": t}]}, t)),
        st.just(({"type": "code_block", "attrs": {"language": "c++"}}, "")),
    )

    def around(inner: st.SearchStrategy[tuple[Any, str]]) -> st.SearchStrategy[tuple[Any, str]]:
        some = st.lists(inner, min_size=1, max_size=3).map(lambda bs: ([b for b, _ in bs], "\n".join(t for _, t in bs)))
        items = st.lists(some.map(lambda t: ({"type": "list_item", "content": t[0]}, t[1])), min_size=1, max_size=2)
        joined = items.map(lambda bs: ([b for b, _ in bs], "\n".join(t for _, t in bs)))
        return st.one_of(
            some.map(lambda t: ({"type": "blockquote", "content": t[0]}, t[1])),
            joined.map(lambda t: ({"type": "bullet_list", "content": t[0]}, t[1])),
            joined.map(lambda t: ({"type": "ordered_list", "attrs": {"order": 3}, "content": t[0]}, t[1])),
        )

    return st.recursive(leaf, around, max_leaves=8)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_given_any_valid_document_then_it_is_taken_as_it_is_and_its_text_found(
    talk: tuple[Api, str], data: st.DataObject
) -> None:
    user, conversation = talk
    may_send_on(user)
    blocks = data.draw(st.lists(_blocks(str(user.id)), min_size=1, max_size=3))
    content = doc(*(block for block, _ in blocks))
    assume("".join(words for _, words in blocks).strip())
    assert takes({"$ref": "#/components/schemas/DocumentNode"}, content)
    answer = user.post(f"/conversations/{conversation}/messages", {"content": content})
    assert answer.status == 201, answer
    said = answer.json()
    assert (said["content"], said["text"]) == (content, "\n".join(words for _, words in blocks))


_KEYS = ["type", "content", "attrs", "marks", "text", "href", "id", "level"]
_KINDS = [
    "doc",
    "paragraph",
    "heading",
    "text",
    "mention",
    "hard_break",
    "bullet_list",
    "list_item",
    "code_block",
    "link",
]
_anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(_KINDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_KEYS) | st.text(max_size=3), inner),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=_anything | st.lists(_anything, max_size=3).map(lambda blocks: doc(*blocks)))
def test_given_any_json_then_it_is_refused_unless_the_documented_schema_takes_it(
    talk: tuple[Api, str], content: Any
) -> None:
    user, conversation = talk
    may_send_on(user)
    answer = user.post(f"/conversations/{conversation}/messages", {"content": content})
    assert answer.status in (201, 400), answer
    if answer.status == 201:
        assert takes({"$ref": "#/components/schemas/DocumentNode"}, content)


def test_given_the_reference_then_it_names_every_node() -> None:
    kinds = {
        schema["properties"]["type"]["const"]
        for name, schema in document()["components"]["schemas"].items()
        if name.endswith(("Node", "Mark"))
    }
    assert kinds == {
        *("doc", "paragraph", "heading", "blockquote", "bullet_list", "ordered_list", "list_item", "code_block"),
        *("text", "hard_break", "mention", "bold", "italic", "strike", "code", "link"),
    }
