"""Words are found in what the caller may read, and nowhere else."""

import re
from html import unescape

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.conversations.search.queries import OPTIONS, RANKED, search_sql
from functions.conversations.search.schemas import MessageFound
from quintet.http.schemas import Page
from tests.support.api import Api
from tests.support.conversing import direct, group, may_send_on, said_often, say
from tests.support.expect import pointers
from tests.support.people import person
from tests.support.projects import ids
from tests.support.statements import execute

NOBODY = "01900000-0000-7000-8000-000000000000"


@pytest.fixture
def friend(stack: object) -> Api:
    """Somebody to talk to."""
    return person(full_name="A Friend")


def found(client: Api, q: str, **query: str) -> list[str]:
    """The ids of messages with these words, best first."""
    answer = client.get("/messages/search", query=[("q", q), *query.items()])
    assert answer.status == 200, answer
    Page[MessageFound].model_validate_json(answer.body)
    return ids(answer)


def highlight(client: Api, q: str) -> str:
    """The first hit's."""
    hits = client.get("/messages/search", query=[("q", q)]).json()["items"]
    return str(hits[0]["highlight"])


def test_given_messages_then_the_best_come_first_and_then_the_newest(user: Api, friend: Api) -> None:
    conversation, other = direct(user, friend), group(friend, user)
    weak = say(user, conversation, "wind, of which there was not much to be had")["id"]
    strong = say(friend, other, "Wind and wind and wind")["id"]
    same = say(user, other, "wind, of which there was not much to be had")["id"]
    say(user, other, "something else")
    assert found(user, "wind") == found(friend, "WIND") == [strong, same, weak]
    assert found(user, '"not much" -nothing') == [same, weak]
    assert found(user, "wind", conversation_id=conversation) == [weak]
    assert found(user, "gale or much") == [same, weak]
    assert found(user, "nowhere") == found(user, "!!!") == []


def test_given_what_others_say_then_nobody_finds_it_not_even_an_administrator(user: Api, friend: Api) -> None:
    word = "xylophone"
    conversation = direct(user, friend)
    said = say(user, conversation, f"my {word}")["id"]
    for stranger in (person(), person("admin")):
        assert found(stranger, word) == []
        refused = stranger.get("/messages/search", query=[("q", word), ("conversation_id", conversation)])
        unknown = stranger.get("/messages/search", query=[("q", word), ("conversation_id", NOBODY)])
        assert (refused.status, unknown.status) == (404, 404)
        assert refused.json()["detail"] == unknown.json()["detail"]
        assert found(stranger, word, cursor="AZAAAAAAcACAAAAAAAAAAA") == []
    assert found(friend, word) == [said]
    # WHEN it is edited or deleted THEN what it said is not found
    user.patch(f"/messages/{said}", {"text": "my piano"})
    assert (found(friend, word), found(friend, "piano")) == ([], [said])
    user.delete(f"/messages/{said}")
    assert found(friend, "piano") == []


def test_given_more_than_a_page_then_pages_go_on_by_rank(user: Api, friend: Api) -> None:
    conversation = group(user, friend)
    for n in range(7):
        say(user, conversation, " ".join(["wind"] * (n % 3 + 1)) + f" number {n}")
    everything = found(friend, "wind")
    assert len(everything) == 7
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = [("q", "wind"), ("limit", "2"), *([("cursor", cursor)] if cursor else [])]
        page = friend.get("/messages/search", query=query).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert seen == everything


@pytest.mark.parametrize("query", [[], [("q", "")], [("q", "x" * 201)], [("q", "a\x00")]])
def test_given_no_words_then_400_names_it(user: Api, query: list[tuple[str, str]]) -> None:
    assert pointers(user.get("/messages/search", query=query)) == ["query/q"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('meet at <b>noon</b> & bring "it", y\'all', None),
        ("noon <script>alert(1)</script>", None),
        ("\ue000 noon \ue001 <mark>not me</mark>", None),
        ("see you at noon", "see you at <mark>noon</mark>"),
        ("a & noon", "a &amp; <mark>noon</mark>"),
    ],
)
def test_given_markup_in_a_message_then_the_highlight_has_none_but_its_own(
    user: Api, text: str, expected: str | None
) -> None:
    say(user, group(user), text)
    shown = highlight(user, "noon")
    assert expected is None or shown == expected
    assert "<mark>noon</mark>" in shown
    rest = re.sub(r"</?mark>", "", shown)
    assert not re.search(r"[<>\"']|&(?!(amp|lt|gt|quot|#39);)", rest)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(around=st.text("<>&\"'\\ abc/=\ue000\ue001;%", max_size=30), q=st.text(max_size=20))
def test_given_any_text_and_any_words_then_no_error_and_no_markup(stack: object, around: str, q: str) -> None:
    user = person()
    conversation = group(user)
    may_send_on(user)
    say(user, conversation, f"{around} noon {around}")
    shown = highlight(user, "noon")
    assert set(re.findall(r"<[^>]*>", shown)) == {"<mark>", "</mark>"}
    assert "noon" in unescape(shown)
    answer = user.get("/messages/search", query=[("q", q)])
    assert answer.status in (200, 400), answer


def test_given_what_everybody_else_says_then_a_search_reads_none_of_it(user: Api, friend: Api) -> None:
    mine = direct(user, friend)
    said_often(user, mine, 20, "wind")
    execute(
        "WITH c AS (INSERT INTO conversations (title, is_group, created_by) SELECT 'Theirs', true, %(f)s"
        " FROM generate_series(1, 1000) RETURNING id) INSERT INTO messages (conversation_id, sender_id, content, text)"
        """ SELECT id, %(f)s, '{"type": "doc"}', 'wind ' || n FROM c, generate_series(1, 60) n""",
        f=friend.id,
    )
    execute("ANALYZE messages")
    for conversation_id in (None, mine):
        asked = {"q": "wind", "caller": user.id, "conversation_id": conversation_id, "cursor": None, "limit": 50}
        plan = execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {search_sql(everywhere=conversation_id is None)}",
            **asked,
            options=OPTIONS,
        )[0][0][0]["Plan"]
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 300
    assert len(found(user, "wind")) == 20


def test_given_very_many_messages_with_the_words_then_the_newest_are_ranked(user: Api) -> None:
    conversation = group(user)
    said_often(user, conversation, RANKED + 10, "wind")
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = [("q", "wind"), ("limit", "100"), ("conversation_id", conversation)]
        answer = user.get("/messages/search", query=[*query, *([("cursor", cursor)] if cursor else [])])
        seen += ids(answer)
        cursor = answer.json()["next_cursor"]
    assert len(seen) == len(set(seen)) == RANKED
