"""Who reads a scope, seen from the scope and from each reader: both must agree."""

from uuid import UUID

import pytest

from quintet.db.engine import owner_engine
from quintet.db.session import reading
from quintet.identity.scopes import MINE, PUBLIC, READERS, parts
from tests.support.world import World

_WHOSE = {"roster": "course"}
"""Kind of scope -> of what its id is, if not of that kind."""


@pytest.fixture(scope="module")
def world(stack: object) -> World:
    """One of everything."""
    return World()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("user", {"owner"}),
        ("project", {"owner", "editor", "member"}),
        ("conversation", {"owner", "member"}),
        ("campaign", {"owner", "member"}),
        ("course", {"owner", "member"}),
        ("roster", {"owner"}),
        ("system", set()),
    ],
)
def test_given_a_scope_then_its_readers_are_those_who_count_it_among_theirs(
    world: World, kind: str, expected: set[str]
) -> None:
    scope = kind if kind == "system" else f"{kind}:{getattr(world, f'{_WHOSE.get(kind, kind)}_id')}"
    people = {name: UUID(str(getattr(world, name).id)) for name in ("owner", "editor", "member", "newcomer")}
    with reading() as session:
        connection = session.connection()
        readers = [row.user_id for row in connection.exec_driver_sql(READERS, parts(scope))]
        among = {
            name
            for name, id in people.items()
            if scope in [row.scope for row in connection.exec_driver_sql(MINE, {"caller": id})]
        }
    assert {name for name, id in people.items() if id in readers} == among == expected
    assert len(readers) == len(expected)


def test_given_what_is_of_no_conversation_then_an_index_has_it_in_the_feeds_order(stack: object) -> None:
    def sorted_by(condition: str) -> bool:
        with owner_engine().begin() as connection:
            connection.exec_driver_sql("SET LOCAL enable_sort = off")
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
            walk = f"SELECT * FROM events WHERE {condition} ORDER BY transaction_id, id LIMIT 5"
            return "Sort  (" in str(connection.exec_driver_sql(f"EXPLAIN {walk}").scalars().all())

    assert sorted_by("true")
    assert not sorted_by(PUBLIC)
