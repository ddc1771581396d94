"""Words are found in what the caller may read, and nowhere else."""

import re
import time
from html import unescape
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from functions.conversations.search.queries import RANKED, search_sql
from functions.conversations.search.schemas import MessageFound
from quintet.db.engine import engine
from quintet.http.schemas import Page
from quintet.identity.rate_limits import LIMITS
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
        assert found(stranger, word, cursor="A" * 27) == []
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
    ("said", "expected"),
    [
        ("see you at noon", "see you at <mark>noon</mark>"),
        ("a & noon", "a &amp; <mark>noon</mark>"),
        (
            'meet at <b>Noon</b> & bring "it", y\'all',
            "meet at &lt;b&gt;<mark>Noon</mark>&lt;/b&gt; &amp; bring &quot;it&quot;, y&#x27;all",
        ),
        ("noon <script>alert(1)</script>", "<mark>noon</mark> &lt;script&gt;alert(1)&lt;/script&gt;"),
        ("\ue000 noon \ue001 <mark>not me</mark>", "\ue000 <mark>noon</mark> \ue001 &lt;mark&gt;not me&lt;/mark&gt;"),
        ("15.50 at noon, not afternoon: -3 or 1.2.3", "15.50 at <mark>noon</mark>, not afternoon: -3 or 1.2.3"),
        ("“noon”—at 12:00", "“<mark>noon</mark>”—at 12:00"),
    ],
)
def test_given_whatever_was_written_then_the_highlight_has_all_of_it_and_no_markup_but_its_own(
    user: Api, said: str, expected: str
) -> None:
    say(user, group(user), said)
    assert highlight(user, "noon -nothing") == expected


def test_given_a_long_text_then_the_highlight_is_what_is_around_the_first_words(user: Api) -> None:
    say(user, group(user), " ".join(f"word{n}" for n in range(1500)))
    assert highlight(user, '"word700 word701"') == (
        "… word693 word694 word695 word696 word697 word698 word699 <mark>word700</mark> <mark>word701</mark>"
        + "".join(f" word{n}" for n in range(702, 717))
        + " …"
    )


@pytest.mark.parametrize(
    ("said", "q"),
    [
        ("use List<String> here", "string"),
        ("the frontend/backend teams", "backend"),
        ("mail bob@example.com now", "bob"),
        ("mail bob@example.com now", "bob@example.com"),
        ("TASK-1234 is done", "1234"),
        ("TASK-1234 is done", "TASK-1234"),
        ("TASK_1234 is done", "task-1234"),
        ("https://shop.example.com/blue/shoes?x=1", "shoes"),
        ("release v1.2.3", "v1.2.3"),
        ("“quoted”—dash", "quoted"),
        ("naïve, they said", "NAÏVE"),
        ("noon🎉", "noon"),
        ("हिन्दी में", "हिन्दी"),
        ("don't", "don't"),
    ],
)
def test_given_signs_between_words_then_each_word_is_found_and_marked(user: Api, said: str, q: str) -> None:
    message = say(user, group(user), said)["id"]
    assert found(user, q) == [message]
    assert "<mark>" in highlight(user, q)


@pytest.mark.parametrize(("said", "q"), [("1234 task", "TASK-1234"), ("example com bob", "bob@example.com")])
def test_given_words_joined_by_signs_then_only_those_in_a_row_are_found(user: Api, said: str, q: str) -> None:
    say(user, group(user), said)
    assert found(user, q) == []


def test_given_only_what_is_not_to_be_there_then_400_and_deleted_messages_are_found_by_nothing(user: Api) -> None:
    conversation = group(user)
    kept, gone = (say(user, conversation, text)["id"] for text in ("kept", "gone"))
    user.delete(f"/messages/{gone}")
    for q in ("-zzz", '-"a b" -c', "kept or -zzz"):
        for query in ([("q", q)], [("q", q), ("conversation_id", conversation)]):
            assert pointers(user.get("/messages/search", query=query)) == ["query/q"]
    assert found(user, "kept -zzz") == [kept]
    assert found(user, "-!!!") == []


@pytest.mark.parametrize("part", ["a_", "~/", "<!--", "a@", "a.", "http://", "&a;", "1-", "x.com/?&"])
def test_given_any_legal_text_then_it_is_sent_and_searched_in_no_time(user: Api, part: str) -> None:
    conversation = group(user)
    line = {"type": "text", "text": "noon " + part * (60_000 // len(part))}
    content = {"type": "doc", "content": [{"type": "paragraph", "content": [line]}]}
    began = time.perf_counter()
    sent = user.post(f"/conversations/{conversation}/messages", {"content": content})
    took = time.perf_counter() - began
    assert sent.status == 201
    began = time.perf_counter()
    assert highlight(user, "noon").startswith("<mark>noon</mark>")
    assert max(took, time.perf_counter() - began) < 1


def test_given_a_page_of_very_long_texts_then_their_highlights_take_no_time(user: Api) -> None:
    conversation = group(user)
    said_often(user, conversation, 25, "wind x.com/?" + "&" * 60_000 + " noon")
    said_often(user, conversation, 25, "the noon and " * 5_000)
    began = time.perf_counter()
    assert len(found(user, "noon")) == 50
    assert time.perf_counter() - began < 2


def test_given_a_search_then_its_count_takes_no_second_connection_of_which_there_may_be_one(user: Api) -> None:
    taken: list[object] = []

    def take(*_: object) -> None:
        taken.append(_)

    event.listen(engine(), "checkout", take)
    try:
        assert found(user, "noon") == []
    finally:
        event.remove(engine(), "checkout", take)
    assert len(taken) == 1


def test_given_too_many_searches_in_a_minute_then_429(user: Api) -> None:
    [account] = [limit for limit in LIMITS["search"] if limit.by == "account"]
    assert found(user, "noon") == []
    execute("UPDATE rate_counters SET hits = %(hits)s WHERE key LIKE 'search:account:%%'", hits=account.hits)
    assert user.get("/messages/search", query=[("q", "noon")]).status == 429
    may_send_on(user)


def test_given_the_last_hit_of_a_page_when_edited_or_deleted_then_the_next_page_goes_on(user: Api) -> None:
    conversation = group(user)
    said = [say(user, conversation, f"wind {n}")["id"] for n in range(6)]
    query = [("q", "wind"), ("limit", "2")]
    first = user.get("/messages/search", query=query)
    user.patch(f"/messages/{ids(first)[-1]}", {"text": "calm"})
    second = user.get("/messages/search", query=[*query, ("cursor", first.json()["next_cursor"])])
    user.delete(f"/messages/{ids(second)[-1]}")
    third = user.get("/messages/search", query=[*query, ("cursor", second.json()["next_cursor"])])
    assert ids(first) + ids(second) + ids(third) == said[::-1]
    wrong = user.get("/messages/search", query=[("q", "wind"), ("cursor", "A" * 22)])
    assert pointers(wrong) == ["query/cursor"]


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
        asked = {"q": "wind", "caller": user.id, "conversation_id": conversation_id, "limit": 50}
        asked |= {"rank": float("inf"), "id": UUID(int=2**128 - 1)}
        plan = execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {search_sql(everywhere=conversation_id is None)}",
            **asked,
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
