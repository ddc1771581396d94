"""Tallies say what a count of the rows would, whatever is changed and merged in whatever order."""

import threading
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.event_dispatcher.tallies import merge_tallies
from infra.local.events import schedule_event
from infra.local.invocation import invoke
from quintet.db.engine import engine
from tests.support.api import Api
from tests.support.campaigns import activity_of, agent_of, campaign_of, contact_of
from tests.support.people import person
from tests.support.statements import execute

pytestmark = pytest.mark.usefixtures("stack")

STATUSES = ("new", "contacted", "converted", "rejected", "unreachable")

_OF_CONTACTS = """
    WITH counted AS (SELECT agent_id, status, count(*) AS n FROM contacts WHERE campaign_id = %(id)s GROUP BY 1, 2),
    tallied AS (SELECT agent_id, status, sum(n) AS n FROM contact_tallies WHERE campaign_id = %(id)s
                GROUP BY 1, 2 HAVING sum(n) <> 0)"""
_OF_ACTIVITIES = """
    WITH counted AS (SELECT agent_id, (at AT TIME ZONE 'UTC')::date AS day, outcome, count(*) AS n, sum(duration) AS s
                     FROM contact_activities WHERE campaign_id = %(id)s GROUP BY 1, 2, 3),
    tallied AS (SELECT agent_id, day, outcome, sum(n) AS n, sum(seconds) AS s
                FROM activity_tallies WHERE campaign_id = %(id)s GROUP BY 1, 2, 3)"""
_DIFFERENCE = "((TABLE counted EXCEPT TABLE tallied) UNION ALL (TABLE tallied EXCEPT TABLE counted))"


def differences(campaign_id: UUID) -> list[Any]:
    """What the tallies say that a count of the rows does not, or the other way round; both as of one moment."""
    return [
        row
        for ctes in (_OF_CONTACTS, _OF_ACTIVITIES)
        for row in execute(f"{ctes} SELECT * FROM {_DIFFERENCE} d", id=campaign_id)
    ]


def tallies(table: str, campaign_id: UUID) -> Counter[bool]:
    """How many rows there are, merged and not."""
    rows = execute(f"SELECT merged, count(*) AS n FROM {table} WHERE campaign_id = %(id)s GROUP BY 1", id=campaign_id)
    return Counter({row.merged: row.n for row in rows})


def merge() -> int:
    """One run over everything."""
    return merge_tallies(lambda: True)


_agents = st.sampled_from([None, 0, 1])
_changes = st.one_of(
    st.tuples(st.just("add"), _agents, st.integers(1, 5)),
    st.tuples(st.just("status"), st.sampled_from(STATUSES), st.integers(1, 4)),
    st.tuples(st.just("agent"), _agents, st.integers(1, 4)),
    st.tuples(st.just("remove"), st.none(), st.integers(1, 3)),
    st.tuples(st.just("activity"), _agents, st.integers(0, 90)),
    st.tuples(st.just("merge"), st.none(), st.none()),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(changes=st.lists(_changes, min_size=1, max_size=25))
def test_given_any_changes_and_merges_then_tallies_are_what_a_count_says(changes: list[tuple[str, Any, Any]]) -> None:
    campaign_id, agents = campaign_of(person()), [agent_of(), agent_of()]
    some = "WHERE id IN (SELECT id FROM contacts WHERE campaign_id = %(id)s ORDER BY version, id LIMIT %(n)s)"
    for change, value, n in changes:
        agent_id = agents[value] if isinstance(value, int) else None
        match change:
            case "add":
                execute(
                    "INSERT INTO contacts (campaign_id, agent_id, email) "
                    "SELECT %(id)s, %(agent)s, uuidv7() FROM generate_series(1, %(n)s)",
                    id=campaign_id,
                    agent=agent_id,
                    n=n,
                )
            case "status":
                execute(
                    f"UPDATE contacts SET status = %(s)s, version = version + 1 {some}", s=value, id=campaign_id, n=n
                )
            case "agent":
                execute(
                    f"UPDATE contacts SET agent_id = %(a)s, version = version + 1 {some}",
                    a=agent_id,
                    id=campaign_id,
                    n=n,
                )
            case "remove":
                execute(
                    f"DELETE FROM contacts {some} "
                    "AND NOT EXISTS (SELECT FROM contact_activities a WHERE a.contact_id = contacts.id)",
                    id=campaign_id,
                    n=n,
                )
            case "activity":
                contact_id = contact_of(campaign_id, agent_id)
                activity_of(campaign_id, contact_id, agent_id, outcome="rejected", duration=n)
            case "merge":
                merge()
        assert differences(campaign_id) == []
    # WHEN all is merged THEN there is one row for each thing counted
    merge()
    assert differences(campaign_id) == []
    for table, keys in (("contact_tallies", "agent_id, status"), ("activity_tallies", "day, agent_id, outcome")):
        groups = execute(
            f"SELECT count(*) FROM (SELECT DISTINCT {keys} FROM {table} WHERE campaign_id = %(id)s) g", id=campaign_id
        )
        assert tallies(table, campaign_id) == Counter({True: groups[0][0]})


def test_given_writers_and_two_dispatchers_at_once_then_nobody_fails_and_every_moment_adds_up() -> None:
    owner = person()
    campaign_id, agent_id = campaign_of(owner), agent_of()
    contacts = [contact_of(campaign_id, agent_id) for _ in range(20)]
    working, failures = threading.Event(), list[BaseException]()
    wrong = list[Any]()

    def attempt(work: Any) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        return threading.Thread(target=run)

    def write(part: int) -> None:
        with engine().connect() as connection:
            for n, contact_id in enumerate(contacts[part::2] * 8):
                connection.exec_driver_sql(
                    "UPDATE contacts SET status = %(status)s WHERE id = %(id)s",
                    {"status": STATUSES[n % 5], "id": contact_id},
                )
                connection.exec_driver_sql(
                    "INSERT INTO contact_activities (campaign_id, contact_id, agent_id, outcome, duration) "
                    "VALUES (%(c)s, %(id)s, %(a)s, 'contacted', 7)",
                    {"c": campaign_id, "id": contact_id, "a": agent_id},
                )
                connection.commit()

    def look() -> None:
        while working.is_set():
            wrong.extend(differences(campaign_id))

    def dispatch() -> None:
        while working.is_set():
            merge()

    working.set()
    writers = [attempt(lambda part=part: write(part)) for part in range(2)]
    others = [attempt(dispatch), attempt(dispatch), attempt(look)]
    for thread in (*writers, *others):
        thread.start()
    for thread in writers:
        thread.join()
    working.clear()
    for thread in others:
        thread.join()
    assert failures == []
    assert wrong == []
    merge()
    assert differences(campaign_id) == []
    assert not tallies("activity_tallies", campaign_id)[False]
    ((seconds,),) = execute("SELECT sum(seconds) FROM activity_tallies WHERE campaign_id = %(id)s", id=campaign_id)
    assert seconds == 7 * len(contacts) * 8


@pytest.mark.usefixtures("nothing_due")
def test_given_the_minute_then_the_dispatcher_merges_and_says_how_much(user: Api) -> None:
    merge()
    campaign_id = campaign_of(user)
    contact_id = contact_of(campaign_id)
    for status in ("contacted", "converted"):
        execute("UPDATE contacts SET status = %(s)s WHERE id = %(id)s", s=status, id=contact_id)
    # GIVEN one row for the new contact, two for each change
    assert tallies("contact_tallies", campaign_id) == {False: 5}
    answer = invoke("event_dispatcher", schedule_event("event_dispatcher"))
    assert answer["tallies"] == 5
    # THEN what cancelled out is gone
    assert tallies("contact_tallies", campaign_id) == {True: 1}
    # WHEN there is no time THEN it waits
    contact_of(campaign_id)
    assert merge_tallies(lambda: False) == 0
    assert merge() == 1
