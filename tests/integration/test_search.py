"""One search over everything: what each kind's own list has, and nothing of others."""

import secrets
from collections.abc import Callable
from unicodedata import normalize
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.search import queries
from functions.search.routes import KINDS
from functions.search.schemas import Found
from functions.search.sources import SHOWN, SOURCES
from quintet.http.schemas import Page
from quintet.identity.principal import Principal
from quintet.identity.rate_limits import LIMITS
from tests.support import campaigning
from tests.support.api import Api
from tests.support.conversing import direct, group, may_send_on, say
from tests.support.expect import pointers
from tests.support.people import person
from tests.support.projects import created, ids
from tests.support.statements import counted, execute
from tests.support.world import World

pytestmark = pytest.mark.usefixtures("stack")


def search(client: Api, q: str, **query: str) -> list[Found]:
    """The first page."""
    answer = client.get("/search", query=[("q", q), *query.items()])
    assert answer.status == 200, answer
    return Page[Found].model_validate_json(answer.body).items


def found(client: Api, q: str, **query: str) -> set[tuple[str, str]]:
    """Kind and id of what a search finds."""
    return {(item.type, str(item.id)) for item in search(client, q, **query)}


def word() -> str:
    """One that is written nowhere yet."""
    return f"w{secrets.token_hex(6)}"


@pytest.fixture
def world() -> World:
    """One of everything, each of which has `hello` somewhere."""
    return World()


def named(world: World, w: str) -> dict[str, str]:
    """Kind -> the id of the world's thing of that kind, which has this word now."""
    things = {
        "project": ("projects", "title", world.project_id),
        "task": ("tasks", "description", world.task_id),
        "message": ("messages", "text", world.message_id),
        "file": ("files", "file_name", world.file_id),
        "contact": ("contacts", "full_name", world.contact_id),
        "course": ("courses", "description", world.course_id),
    }
    for table, column, id in things.values():
        execute(f"UPDATE {table} SET {column} = 'a ' || %(w)s || ' here' WHERE id = %(id)s", w=w, id=id)
    return {kind: str(id) for kind, (_, _, id) in things.items()}


LISTS: dict[str, Callable[[World], tuple[str, list[tuple[str, str]]]]] = {
    "project": lambda _: ("/projects", []),
    "task": lambda _: ("/tasks", []),
    "message": lambda w: (f"/conversations/{w.conversation_id}/messages", []),
    "file": lambda _: ("/files", []),
    "contact": lambda w: (f"/campaigns/{w.campaign_id}/contacts", []),
    "course": lambda _: ("/courses", []),
}


def test_given_the_kinds_then_each_is_tried_here() -> None:
    assert LISTS.keys() == set(KINDS) == SHOWN.keys() == {source.kind for source in SOURCES}


@pytest.mark.parametrize("way", ["few", "many"])
@pytest.mark.parametrize(
    "who", ["owner", "editor", "member", "newcomer", "admin", "project_admin", "developer", "student"]
)
def test_given_one_of_everything_then_everybody_finds_what_their_own_lists_have(
    world: World, who: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = word()
    things = named(world, w)
    if way == "many":  # whatever is sought is in more rows than are all looked at
        monkeypatch.setattr(queries, "_PROBE", queries._PROBE.replace(f"<= {queries.FEW}", "< 0"))
        queries._statement.cache_clear()
    client: Api = getattr(world, who) if hasattr(world, who) else person(who)
    listed = set()
    for kind, where in LISTS.items():
        path, query = where(world)
        answer = client.get(path, query=query)
        assert answer.status in (200, 404), answer
        if answer.status == 200 and things[kind] in ids(answer):
            listed.add((kind, things[kind]))
    try:
        assert found(client, w) == listed
        assert listed or who in ("newcomer", "student")
        for kind in KINDS:
            assert found(client, w, types=kind) == {thing for thing in listed if thing[0] == kind}
    finally:
        queries._statement.cache_clear()


def test_given_things_of_every_kind_then_each_is_shown_and_can_be_read_at_its_address(world: World) -> None:
    w = word()
    things = named(world, w)
    items = search(world.owner, w)
    assert {item.type: str(item.id) for item in items} == things
    for item in items:
        assert f"<mark>{w}</mark>" in item.highlight
        read = world.owner.get(item.href)
        assert read.status == 200
        assert read.json()["id"] == str(item.id)
    titles = {item.type: item.title for item in items}
    shown = f"a {w} here"
    assert titles == {
        "project": shown,
        "task": "A task",
        "message": "A group",
        "file": shown,
        "contact": shown,
        "course": "A course",
    }


def test_given_titles_and_texts_then_titles_come_first_and_the_highlight_is_where_the_words_are(owner: Api) -> None:
    w = word()
    weak = created(owner, title="A project", description=f"of {w} & others")["id"]
    strong = created(owner, title=f"The {w}", description="and nothing else")["id"]
    first, second = search(owner, w)
    assert [str(first.id), str(second.id)] == [strong, weak]
    assert first.rank > second.rank
    assert (first.highlight, second.highlight) == (f"The <mark>{w}</mark>", f"of <mark>{w}</mark> &amp; others")
    owner.delete(f"/projects/{strong}")
    assert [str(item.id) for item in search(owner, w)] == [weak]


def test_given_letters_of_one_character_or_of_two_then_they_are_the_same(owner: Api) -> None:
    w = word()
    composed, decomposed = normalize("NFC", f"{w} Übung 한글"), normalize("NFD", f"{w} Übung 한글")
    assert composed != decomposed
    made = {("project", created(owner, title=title)["id"]) for title in (composed, decomposed)}
    for q in (composed, decomposed):
        assert found(owner, q) == made
        assert {item.highlight.count("<mark>") for item in search(owner, q)} == {3}


def test_given_what_two_say_to_each_other_then_nobody_else_finds_it_not_even_an_administrator(user: Api) -> None:
    w, friend = word(), person()
    said = say(user, direct(user, friend), f"psst {w}")["id"]
    assert found(friend, w) == {("message", said)}
    [item] = search(user, w)
    assert item.title == "Test Person"
    for stranger in (person(), person("admin")):
        assert found(stranger, w) == set()
    user.delete(f"/messages/{said}")
    assert found(friend, w) == set()


def test_given_contacts_then_agents_find_their_own_alone(user: Api) -> None:
    w, agent = word(), person()
    campaign = campaigning.created(user)["id"]
    agent_id = campaigning.agent(agent)
    campaigning.assign(user, campaign, agent_id)
    mine, other = (
        str(
            execute(
                "INSERT INTO contacts (campaign_id, agent_id, full_name, email)"
                " VALUES (%(c)s, %(a)s, %(w)s, %(e)s) RETURNING id",
                c=campaign,
                a=whose,
                w=w,
                e=f"{secrets.token_hex(8)}@example.com",
            )[0].id
        )
        for whose in (agent_id, None)
    )
    assert found(agent, w) == {("contact", mine)}
    assert found(user, w) == found(person("project_admin"), w) == {("contact", mine), ("contact", other)}
    user.delete(f"/campaigns/{campaign}/agents/{agent_id}")
    assert found(agent, w) == set()


def test_given_a_draft_of_a_course_then_those_who_take_part_find_it_alone(world: World) -> None:
    w = word()
    execute("UPDATE courses SET title = %(w)s WHERE id = %(id)s", w=w, id=world.draft_course_id)
    draft = {("course", str(world.draft_course_id))}
    for who, sees in ((world.owner, draft), (world.member, draft), (world.editor, set()), (person("admin"), draft)):
        assert found(who, w) == sees
    execute("UPDATE courses SET status = 'archived', archived_at = now() WHERE id = %(id)s", id=world.draft_course_id)
    assert found(world.owner, w) == set()


def test_given_pages_then_they_go_on_by_rank_and_miss_nothing(owner: Api) -> None:
    w = word()
    made = {("project", created(owner, title=" ".join([w] * (n % 3 + 1)))["id"]) for n in range(7)}
    conversation = group(owner)
    made |= {("message", say(owner, conversation, f"{w} {n}")["id"]) for n in range(4)}
    seen: list[tuple[str, str]] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = owner.get("/search", query=[("q", w), ("limit", "3"), *([("cursor", cursor)] if cursor else [])])
        page = answer.json()
        seen += [(item["type"], item["id"]) for item in page["items"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(made) == 11
    assert set(seen) == made
    assert seen == [(item.type, str(item.id)) for item in search(owner, w)]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ([], "query/q"),
        ([("q", "")], "query/q"),
        ([("q", "a\x00")], "query/q"),
        ([("q", "-nothing")], "query/q"),
        ([("q", "a or -b")], "query/q"),
        ([("q", "a"), ("types", "user")], "query/types"),
        ([("q", "a"), ("types", "task,")], "query/types"),
        ([("q", "a"), ("cursor", "A" * 22)], "query/cursor"),
        ([("q", "a"), ("type", "task")], "query/type"),
    ],
)
def test_given_what_makes_no_sense_then_400_names_it(user: Api, query: list[tuple[str, str]], pointer: str) -> None:
    assert pointers(user.get("/search", query=query)) == [pointer]


def test_given_words_of_signs_alone_then_nothing_is_found(user: Api) -> None:
    assert search(user, "!!!") == []


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(q=st.text(max_size=20))
def test_given_any_words_then_no_error(stack: object, q: str) -> None:
    user = person()
    may_send_on(user)
    assert user.get("/search", query=[("q", q)]).status in (200, 400)


def test_given_a_search_then_it_is_counted_and_one_statement_reads_who_asks_and_one_what_is_found(user: Api) -> None:
    search(user, "hello")
    with counted() as statements:
        search(user, "hello")
    assert len(statements) == 3, statements  # identity, the rate limit's count, what is found
    [account] = [limit for limit in LIMITS["search"] if limit.by == "account"]
    execute("UPDATE rate_counters SET hits = %(hits)s WHERE key LIKE 'search:account:%%'", hits=account.hits)
    refused = user.get("/search", query=[("q", "hello")])
    assert refused.status == 429
    assert refused.header("retry-after")
    may_send_on(user)


def test_given_a_word_that_everybody_uses_then_a_search_reads_little_and_finds_the_newest(user: Api) -> None:
    # GIVEN a word in very many tasks of somebody else's, and in some of the caller's
    other, w = person(), word()
    theirs, mine = created(other, title="Theirs")["id"], created(user, title="Mine")["id"]
    insert = """INSERT INTO tasks (project_id, title, position, created_by)
        SELECT %(p)s, %(w)s || ' ' || n, 'V' || lpad(n::text, 9, '0'), %(u)s FROM generate_series(1, %(n)s) n"""
    execute(insert, p=theirs, w=w, u=other.id, n=20_000)
    execute(insert, p=mine, w=w, u=user.id, n=300)
    execute("ANALYZE tasks")
    # WHEN they search THEN it reads few rows, and the newest are ranked
    caller = Principal(user_id=user.id, session_id=user.id, email="", email_verified=True, permissions=frozenset())
    asked = {"q": w, "caller": user.id, "rank": float("inf"), "id": UUID(int=2**128 - 1), "limit": 50}
    plan = execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {queries.search_sql(caller, ['task'])}", **asked)
    plan = plan[0][0][0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 1_500
    seen: set[str] = set()
    cursor: str | None = ""
    while cursor is not None:
        query = [("q", w), ("limit", "100"), *([("cursor", cursor)] if cursor else [])]
        page = user.get("/search", query=query).json()
        seen |= {item["title"] for item in page["items"]}
        cursor = page["next_cursor"]
    assert seen == {f"{w} {n}" for n in range(101, 301)}
    execute("DELETE FROM tasks WHERE project_id IN (%(a)s, %(b)s)", a=theirs, b=mine)
    execute("ANALYZE tasks")
