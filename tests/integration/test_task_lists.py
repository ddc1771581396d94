"""Lists of tasks: filters, orders, pages, and what a page costs."""

import datetime as dt
import itertools
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.tasks.queries import listing
from quintet.db.engine import engine
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest
from tests.support.api import Api
from tests.support.expect import pointers, problem
from tests.support.people import person
from tests.support.projects import created
from tests.support.statements import execute
from tests.support.tasks import answered, id_of, listed, member, task

SORTS = ("position", "newest", "due_date")


def test_given_tasks_when_listing_then_each_filter_keeps_what_it_names(owner: Api, project: str) -> None:
    other, elsewhere = member(owner, project, "viewer"), f"/projects/{created(owner)['id']}"
    one = task(owner, project, title="Wind turbine", due_date="2026-11-30")["id"]
    two = task(owner, project, description="blades", assignee_id=str(other.id), status="blocked")["id"]
    three = task(owner, elsewhere, assignee_id=str(owner.id), due_date="2026-11-29")["id"]
    id = id_of(project)

    assert listed(owner) == [three, two, one]
    assert listed(owner, project_id=id) == listed(owner, projectId=id) == [one, two]
    assert listed(owner, project_id=id, projectId=id, sort="newest") == [two, one]
    assert listed(other) == [two, one]
    assert listed(owner, assignee_id=other.id) == listed(other, assignee_id="me") == [two]
    assert listed(owner, assignee_id="me") == [three]
    assert listed(owner, assignee_id="me", project_id=id) == []
    assert listed(owner, status="blocked") == [two]
    assert listed(owner, status="todo", project_id=id) == [one]
    assert listed(owner, due_before="2026-11-30") == [three]
    assert listed(owner, due_before="2026-12-01", sort="due_date") == [three, one]
    assert listed(owner, sort="due_date") == [three, one, two]
    assert listed(owner, q="wind") == [one]
    assert listed(owner, q="blades", status="blocked", project_id=id, sort="due_date") == [two]
    assert listed(other, q="wind -turbine") == []


def test_given_a_filter_that_contradicts_another_then_400_names_it(owner: Api, project: str) -> None:
    id = id_of(project)
    elsewhere = created(owner)["id"]
    assert pointers(owner.get("/tasks", query=f"project_id={id}&projectId={elsewhere}")) == ["query/projectId"]
    assert pointers(owner.get("/tasks", query="sort=position")) == ["query/sort"]


def test_given_a_stranger_then_there_is_no_such_list_and_nothing_of_it_elsewhere(owner: Api, project: str) -> None:
    made, stranger = task(owner, project, assignee_id=str(owner.id)), person()
    for sort in SORTS:
        problem(stranger.get("/tasks", query=f"project_id={id_of(project)}&sort={sort}"), 404)
    assert listed(stranger) == listed(stranger, assignee_id=owner.id) == listed(stranger, q="task") == []
    # WHEN they may read every project, THEN they see it.
    for reader in (person("developer"), person("admin")):
        assert listed(reader, project_id=id_of(project)) == listed(reader, assignee_id=owner.id) == [made["id"]]
        assert made["id"] in listed(reader, limit=100)


@pytest.mark.parametrize("q", ["'", "a & | ! :* <->", "' OR 1=1 --", "\\", "%s", "%(caller)s", "{page}", "🦆"])
def test_given_hostile_words_when_searching_then_they_are_only_words(owner: Api, project: str, q: str) -> None:
    task(owner, project, title="Something")
    assert listed(owner, q=q) == []


def test_given_a_cursor_that_is_none_of_this_order_then_400_names_it(owner: Api, project: str) -> None:
    for _ in range(2):
        task(owner, project)
    query = {"project_id": id_of(project), "limit": 1}
    cursors = {sort: answered(owner, **query, sort=sort).json()["next_cursor"] for sort in SORTS}
    wrong = [("newest", cursors["due_date"]), ("due_date", cursors["newest"]), ("position", cursors["due_date"])]
    wrong += [(sort, cursor) for sort in SORTS for cursor in ("x", "!", "AAAA", "é", "_" * 40)]
    for sort, cursor in wrong:
        asked = [*query.items(), ("sort", sort), ("cursor", cursor)]
        refused = owner.get("/tasks", query=[(name, str(value)) for name, value in asked])
        assert pointers(refused) == ["query/cursor"], (sort, cursor)


_days = st.none() | st.integers(0, 3)


@pytest.mark.parametrize("sort", SORTS)
def test_given_descriptions_as_long_as_they_may_be_then_pages_are_smaller_and_have_each_once(
    owner: Api, project: str, sort: str
) -> None:
    made = [task(owner, project)["id"] for _ in range(60)]
    execute("UPDATE tasks SET description = repeat(chr(1), 20000) WHERE project_id = %(id)s", id=id_of(project))
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = answered(owner, project_id=id_of(project), sort=sort, limit=100, cursor=cursor).json()
        assert page["items"]
        found += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert found == (made[::-1] if sort == "newest" else made)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sort=st.sampled_from(SORTS),
    whole=st.booleans(),
    limit=st.integers(1, 4),
    there=st.lists(_days, max_size=9),
    meanwhile=st.lists(st.lists(_days, max_size=2), min_size=1, max_size=9),
)
def test_given_others_insert_between_pages_then_no_task_is_missing_or_listed_twice(
    stack: object, sort: str, whole: bool, limit: int, there: list[int | None], meanwhile: list[list[int | None]]
) -> None:
    owner = person()
    project = f"/projects/{created(owner)['id']}"
    elsewhere = f"/projects/{created(owner)['id']}"
    numbers = itertools.count()

    def insert(days: list[int | None]) -> list[str]:
        """At the beginning and at the end by turns; in either project when the list is of both."""
        made = []
        for day in days:
            n = next(numbers)
            due = None if day is None else f"2026-11-{day + 10}"
            place: dict[str, Any] = {"after": None} if n % 2 else {}
            made.append(task(owner, elsewhere if whole and n % 3 else project, due_date=due, **place)["id"])
        return made

    query: dict[str, Any] = {"sort": sort, "limit": limit}
    if sort == "position":
        whole = False
    if not whole:
        query["project_id"] = id_of(project)
    before = insert(there)
    expected = listed(owner, **{**query, "limit": 100})
    assert sorted(expected) == sorted(before)
    seen: list[dict[str, Any]] = []
    for page in itertools.count():
        answer = answered(owner, **query).json()
        assert len(answer["items"]) <= limit
        seen += answer["items"]
        if answer["next_cursor"] is None:
            break
        query["cursor"] = answer["next_cursor"]
        insert(meanwhile[page % len(meanwhile)])
        if page > 100:  # what is added at the end goes on being found, and more is added
            break
    ids = [item["id"] for item in seen]
    assert len(ids) == len(set(ids))
    if page <= 100:
        assert [id for id in ids if id in before] == expected
    keys = [_key(sort, item) for item in seen]
    assert keys == sorted(keys, reverse=sort == "newest")


def _key(sort: str, item: dict[str, Any]) -> Any:
    due = (item["due_date"] or "infinity", item["id"])
    return {"position": item["position"], "newest": item["id"], "due_date": due}[sort]


@pytest.fixture(scope="module")
def many(stack: object) -> tuple[Api, str, Api]:
    """Somebody with a project of 30,000 tasks, 300 of which are another's, and with later projects of theirs."""
    owner, other = person(), person()
    project = f"/projects/{created(owner)['id']}"
    owner.put(f"{project}/members/{other.id}", {"role": "viewer"})
    insert = """
        INSERT INTO tasks (project_id, title, status, position, assignee_id, due_date, created_by)
        SELECT %(project)s, CASE WHEN n %% 500 = 7 THEN 'T rare' ELSE 'T' END,
            (ARRAY['todo', 'done', 'blocked'])[1 + n %% 3], to_char(n, 'FM000000') || 'V',
            CASE WHEN n %% 100 = 0 THEN %(other)s::uuid END, CASE WHEN n %% 2 = 0 THEN date '2026-01-01' + n %% 500 END,
            %(owner)s
        FROM generate_series(1, %(count)s) n"""
    execute(insert, project=id_of(project), owner=owner.id, other=other.id, count=30_000)
    execute(insert, project=created(owner)["id"], owner=owner.id, other=None, count=3000)
    for _ in range(40):
        execute(insert, project=created(owner)["id"], owner=owner.id, other=None, count=10)
    execute("ANALYZE tasks")
    return owner, project, other


@pytest.mark.parametrize("permissions", [frozenset[str](), frozenset({"projects:read_all"})])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    "asked",
    [
        *({"project_id": ..., "sort": sort} for sort in SORTS),
        *({"sort": sort} for sort in SORTS[1:]),
        *({"assignee_id": ..., "sort": sort} for sort in SORTS[1:]),
        {"project_id": ..., "status": "blocked"},
        {"project_id": ..., "status": "blocked", "sort": "newest"},
        {"assignee_id": ..., "status": "todo", "sort": "newest"},
        {"project_id": ..., "assignee_id": ...},
        {"project_id": ..., "due_before": dt.date(2026, 6, 1), "sort": "due_date"},
        {"project_id": ..., "status": "blocked", "assignee_id": ..., "sort": "newest"},
        *({"q": q, "sort": sort} for q in ("t", "-rare") for sort in SORTS[1:]),
        *({"project_id": ..., "q": q, "sort": sort} for q in ("t", "-rare") for sort in SORTS),
        {"assignee_id": ..., "q": "t", "sort": "newest"},
    ],
)
def test_given_a_table_of_many_when_a_page_is_read_then_few_rows_are_touched(
    many: tuple[Api, str, Api], asked: dict[str, Any], deep: bool, permissions: frozenset[str]
) -> None:
    owner, project, other = many
    known = {"project_id": UUID(id_of(project)), "assignee_id": other.id}
    asked = {name: known[name] if value is ... else value for name, value in asked.items()}
    cursor = None
    if deep:
        page = answered(owner, limit=40, **asked).json()
        cursor = page["next_cursor"]
        assert cursor
    touched = _touched(owner, permissions, PageRequest(10, cursor), **asked)
    # A status is that of a third of them. Without a project or a person it is a page of each of 42 projects at most.
    lists = 1 if known.keys() & asked.keys() else 42 + 1
    assert touched <= 4 * 11 * lists


@pytest.mark.parametrize("q", ["t", "rare", "-rare"])
@pytest.mark.parametrize("sort", SORTS[1:])
def test_given_others_have_many_when_somebody_searches_then_those_are_not_walked(
    many: tuple[Api, str, Api], q: str, sort: str
) -> None:
    someone = person()
    mine = task(someone, f"/projects/{created(someone)['id']}", title="T rare")["id"]
    assert listed(someone, q=q, sort=sort) == ([] if q == "-rare" else [mine])
    # Some 70 tasks have the rare word.
    assert _touched(someone, frozenset(), PageRequest(10), q=q, sort=sort) <= 150


def _touched(asker: Api, permissions: frozenset[str], paging: PageRequest, **asked: Any) -> float:
    """The tasks that the scans of a page's plan give or pass over."""
    caller = Principal(user_id=asker.id, session_id=asker.id, email="", email_verified=True, permissions=permissions)
    sql, params = listing(caller, paging, **asked)
    with engine().connect() as connection:
        [[[explained]]] = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
    return _scanned(explained["Plan"])


def _scanned(plan: dict[str, Any]) -> float:
    rows = 0.0
    if plan.get("Relation Name") == "tasks":
        passed = plan.get("Rows Removed by Filter", 0) + plan.get("Rows Removed by Index Recheck", 0)
        rows = (plan["Actual Rows"] + passed) * plan["Actual Loops"]
    return rows + sum(_scanned(child) for child in plan.get("Plans", []))
