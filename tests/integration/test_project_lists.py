"""Lists of projects: filters, search, pages."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quintet.db.engine import owner_engine
from tests.support.api import Api
from tests.support.expect import pointers
from tests.support.people import person
from tests.support.projects import created, ids

NOBODY = "01900000-0000-7000-8000-000000000000"


def test_given_projects_when_listing_then_each_filter_keeps_what_it_names(owner: Api) -> None:
    software = created(owner, title="Alpha", product_type="software", status="active")["id"]
    service = created(owner, title="Beta", product_type="service")["id"]
    archived = created(owner, title="Gamma")["id"]
    owner.delete(f"/projects/{archived}")
    other = person()
    shared = created(other, title="Delta")["id"]
    other.put(f"/projects/{shared}/members/{owner.id}", {"role": "viewer"})
    created(other, title="Not shared")

    def listed(**query: str) -> list[str]:
        return ids(owner.get("/projects", query=list(query.items())))

    assert listed() == [shared, service, software]
    assert listed(status="active") == [software]
    assert listed(status="archived") == [archived]
    assert listed(owner_id=str(owner.id)) == [service, software]
    assert listed(owner=str(other.id)) == listed(owner=str(other.id), owner_id=str(other.id)) == [shared]
    assert pointers(owner.get("/projects", query=f"owner={other.id}&owner_id={owner.id}")) == ["query/owner"]
    assert listed(product_type="service") == [service]
    assert listed(q="alpha") == [software]
    assert listed(q="alpha", product_type="service") == []


def test_given_words_when_searching_then_title_and_description_are_searched_in_every_language(owner: Api) -> None:
    one = created(owner, title="Wind turbine", description="blades of carbon fibre")["id"]
    two = created(owner, title="風力 タービン", description="Überprüfung der Blades")["id"]

    def found(q: str) -> list[str]:
        return ids(owner.get("/projects", query=[("q", q)]))

    assert found("WIND") == [one]
    assert found("blades") == [two, one]
    assert found("blades -carbon") == [two]
    assert found('"carbon fibre"') == [one]
    assert found('"fibre carbon"') == []
    assert found("wind or überprüfung") == [two, one]
    assert found("風力") == [two]


@pytest.mark.parametrize("q", ["'", '"', "a & | ! :* <->", "' OR 1=1 --", "\\", "%s", "%(caller)s", "((", "🦆", "-"])
def test_given_hostile_words_when_searching_then_they_are_only_words(owner: Api, q: str) -> None:
    created(owner, title="Something else")
    answer = owner.get("/projects", query=[("q", q)])
    assert answer.status == 200, answer


def _pages(owner: Api, limit: int) -> Iterator[list[str]]:
    query = [("limit", str(limit))]
    while True:
        answer = owner.get("/projects", query=query)
        assert answer.status == 200, answer
        yield ids(answer)
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return
        query = [("limit", str(limit)), ("cursor", cursor)]


def _insert(owner: Api, count: int) -> list[str]:
    """Projects made by the database's owner, newest last."""
    with owner_engine().begin() as connection:
        rows = connection.exec_driver_sql(
            "WITH p AS (INSERT INTO projects (title, owner_id) SELECT 'P', %(id)s FROM generate_series(1, %(count)s)"
            " RETURNING id), m AS (INSERT INTO project_members SELECT id, %(id)s, 'owner' FROM p)"
            " SELECT id::text FROM p ORDER BY id",
            {"id": owner.id, "count": count},
        )
        return list(rows.scalars())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(there=st.integers(0, 9), limit=st.integers(1, 4), meanwhile=st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_given_others_insert_between_pages_then_no_project_is_missing_or_listed_twice(
    stack: object, there: int, limit: int, meanwhile: list[int]
) -> None:
    someone = person()
    before = _insert(someone, there)
    seen: list[str] = []
    for number, page in enumerate(_pages(someone, limit)):
        assert len(page) <= limit
        seen += page
        _insert(someone, meanwhile[number % len(meanwhile)])
    assert seen == before[::-1]
