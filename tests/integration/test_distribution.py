"""Contacts shared out among agents: evenly, whoever works meanwhile, and nobody loses one needlessly."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.campaign_processor import distribution, importing
from functions.campaign_processor.distribution import distribute, planned
from functions.campaign_processor.service import work_on
from infra.local.events import sqs_event
from infra.local.invocation import invoke
from quintet.db.engine import owner_engine
from tests.support.api import Api, events_about
from tests.support.campaigning import agent, assign, contacts, created, events_of, held, ids, upload
from tests.support.importing import imported, send, status, table
from tests.support.people import person
from tests.support.statements import counted, execute
from tests.support.uploading import announced, process

Holder = str | None


def always() -> bool:
    """There is time left."""
    return True


def share(campaign_id: str, time_left: Callable[[], bool] = always) -> dict[Holder, int]:
    """Distribute, and count who has how many new contacts."""
    distribute(UUID(campaign_id), time_left)
    return held(campaign_id)


def holders(campaign_id: str) -> dict[str, Holder]:
    """Each contact's agent."""
    rows = execute("SELECT id, agent_id FROM contacts WHERE campaign_id = %(id)s", id=campaign_id)
    return {str(row.id): row.agent_id and str(row.agent_id) for row in rows}


def distributing(owner: Api, *agents: str) -> str:
    """The id of a campaign whose contacts are distributed among these agents."""
    campaign: str = created(owner)["id"]
    execute("UPDATE campaigns SET distributed = true WHERE id = %(id)s", id=campaign)
    if agents:
        assign(owner, campaign, *agents)
    return campaign


def contacted(campaign_id: str) -> list[str]:
    """The contacts that somebody has worked on."""
    rows = execute("SELECT id FROM contacts WHERE campaign_id = %(id)s AND status = 'contacted'", id=campaign_id)
    return [str(row.id) for row in rows]


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many short steps, as with a million contacts."""
    monkeypatch.setattr(distribution, "BATCH", 7)


@pytest.fixture
def boss(stack: object) -> Api:
    """Somebody who may change agents."""
    return person("project_admin")


def test_given_new_contacts_when_distributed_then_agents_differ_by_one_at_most(owner: Api, small_batches: None) -> None:
    one, two, three, away = agent(), agent(), agent(), agent(available=False)
    campaign = distributing(owner, one, two, three, away)
    contacts(campaign, 50)
    worked_on = contacts(campaign, 5, status="contacted", agent_id=away) + contacts(campaign, 2, status="converted")
    before = holders(campaign)
    assert sorted(share(campaign).items(), key=lambda item: item[1]) == sorted(
        {one: 17, two: 17, three: 16}.items(), key=lambda item: item[1]
    )
    # What somebody worked on stays whose it was.
    assert [holders(campaign)[id] for id in worked_on] == [before[id] for id in worked_on]
    assert events_about(campaign)[-1] == ("campaign.distributed", {"contacts": 50, "agents": 3})


def test_given_a_distribution_then_versions_stay_and_the_tallies_say_the_same(owner: Api) -> None:
    agents = [agent() for _ in range(3)]
    campaign = distributing(owner, *agents)
    contacts(campaign, 10)
    shared = share(campaign)
    [row] = execute("SELECT max(version) AS v FROM contacts WHERE campaign_id = %(id)s", id=campaign)
    assert row.v == 1
    tallies = execute(
        "SELECT agent_id, sum(n) AS n FROM contact_tallies WHERE campaign_id = %(id)s GROUP BY 1 HAVING sum(n) <> 0",
        id=campaign,
    )
    assert {str(row.agent_id): row.n for row in tallies} == shared


def test_given_even_shares_when_distributed_again_then_nothing_moves(owner: Api) -> None:
    campaign = distributing(owner, agent(), agent(), agent())
    contacts(campaign, 11)
    share(campaign)
    before = holders(campaign)
    share(campaign)
    assert holders(campaign) == before
    assert events_about(campaign)[-1] == ("campaign.distributed", {"contacts": 0, "agents": 3})


def test_given_a_new_agent_then_everybody_gives_them_a_little_and_keeps_the_rest(owner: Api) -> None:
    agents = [agent() for _ in range(4)]
    campaign = distributing(owner, *agents[:3])
    contacts(campaign, 30)
    share(campaign)
    before = holders(campaign)
    assign(owner, campaign, agents[3])
    assert sorted(share(campaign).values()) == [7, 7, 8, 8]
    moved = [id for id, holder in holders(campaign).items() if holder != before[id]]
    assert {holders(campaign)[id] for id in moved} == {agents[3]}
    assert len(moved) == held(campaign)[agents[3]] <= 8


def test_given_an_agent_who_leaves_or_is_away_then_the_others_get_theirs(owner: Api, boss: Api) -> None:
    one, two, three = agent(), agent(), agent()
    campaign = distributing(owner, one, two, three)
    contacts(campaign, 12)
    contacts(campaign, 4, agent_id=one, status="contacted")
    contacts(campaign, 1, agent_id=one, status="converted")
    share(campaign)
    before = holders(campaign)
    owner.delete(f"/campaigns/{campaign}/agents/{one}")
    # THEN that goes for whom they have contacted too, and what came of the others stays theirs
    assert share(campaign) == {two: 6, three: 6}
    assert all(holders(campaign)[id] == holder for id, holder in before.items() if holder in (two, three))
    assert held(campaign, "contacted") == {two: 2, three: 2}
    assert held(campaign, "converted") == {one: 1}
    boss.patch(f"/agents/{two}", {"available": False})
    assert share(campaign) == {three: 12}
    assert held(campaign, "contacted") == {two: 2, three: 2}
    # WHEN nobody is available, THEN the one who is assigned keeps them, and gives them back only when unassigned
    boss.patch(f"/agents/{three}", {"available": False})
    assert share(campaign) == {three: 12}
    owner.delete(f"/campaigns/{campaign}/agents/{three}")
    assert share(campaign) == {None: 12}
    assert held(campaign, "contacted") == {two: 2, None: 2}
    boss.patch(f"/agents/{two}", {"available": True})
    assert share(campaign) == {two: 12}
    assert held(campaign, "contacted") == {two: 4}


def test_given_nothing_distributed_when_an_agent_leaves_then_what_they_leave_open_is_nobodys(owner: Api) -> None:
    one, two = agent(), agent()
    campaign = created(owner)["id"]
    assign(owner, campaign, one, two)
    contacts(campaign, 3)
    left = contacts(campaign, 2, agent_id=one) + contacts(campaign, 1, agent_id=one, status="contacted")
    contacts(campaign, 1, agent_id=one, status="rejected")
    contacts(campaign, 2, agent_id=two, status="contacted")
    owner.delete(f"/campaigns/{campaign}/agents/{one}")
    # THEN they have nothing more to do at once
    assert owner.get(f"/agents/{one}").json()["load"] == 0
    assert events_of(campaign)[-1] == "campaign.distribution_requested"
    assert share(campaign) == {None: 5}
    assert held(campaign, "contacted") == {None: 1, two: 2}
    assert held(campaign, "rejected") == {one: 1}
    nobodys = ids(owner.get(f"/campaigns/{campaign}/contacts", query=[("agent_id", "none")]))
    assert len(nobodys) == 6
    assert set(left) < set(nobodys)
    assert events_about(campaign)[-1] == ("campaign.distributed", {"contacts": 3, "agents": 0})


def test_given_no_request_yet_or_no_such_campaign_then_nothing_happens(owner: Api) -> None:
    campaign = created(owner)["id"]
    assign(owner, campaign, agent())
    contacts(campaign, 3)
    assert share(campaign) == {None: 3}
    distribute(UUID("01900000-0000-7000-8000-000000000000"), always)
    assert "campaign.distributed" not in events_of(campaign)


def test_given_no_time_left_then_it_stops_and_is_requested_again(owner: Api, small_batches: None) -> None:
    campaign = distributing(owner, agent(), agent())
    contacts(campaign, 40)
    steps = iter([True, True, False])
    assert share(campaign, lambda: next(steps))[None] == 40 - 3 * 7
    assert events_of(campaign)[-1] == "campaign.distribution_requested"
    assert sorted(share(campaign).values()) == [20, 20]


def test_given_many_contacts_then_a_step_moves_one_batch_in_a_few_statements(owner: Api) -> None:
    campaign = distributing(owner, *[agent() for _ in range(3)])
    contacts(campaign, 2 * distribution.BATCH + 1)
    steps = iter([False])
    with counted() as statements:
        distribute(UUID(campaign), lambda: next(steps))
    assert len(statements) == 7, statements  # begin, campaign, agents, tallies, move, request, commit
    assert held(campaign)[None] == distribution.BATCH + 1


def test_given_the_queue_when_requested_then_it_is_done_once(owner: Api) -> None:
    # GIVEN a campaign whose distribution is requested
    one, two = agent(), agent()
    campaign = created(owner)["id"]
    assign(owner, campaign, one, two)
    contacts(campaign, 8)
    assert owner.post(f"/campaigns/{campaign}/distribute").status == 202
    [row] = execute(
        "SELECT id FROM events WHERE subject_id = %(id)s AND type = 'campaign.distribution_requested'", id=campaign
    )
    # WHEN the message comes, and comes again
    message = sqs_event("campaigns", [{"event_id": str(row.id), "destination": "campaigns"}])
    for _ in range(2):
        assert invoke("campaign_processor", message) == {"batchItemFailures": []}
    # THEN it is done, and said once
    assert held(campaign) == {one: 4, two: 4}
    assert events_of(campaign).count("campaign.distributed") == 1


def test_given_two_distributions_at_once_then_they_end_even_and_neither_waits_in_a_circle(
    owner: Api, small_batches: None
) -> None:
    campaign = distributing(owner, *[agent() for _ in range(5)])
    contacts(campaign, 203)
    start = threading.Barrier(3)

    def run() -> None:
        start.wait()
        distribute(UUID(campaign), always)

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(run) for _ in range(3)]:
            done.result(timeout=60)
    assert sorted(held(campaign).values()) == [40, 40, 41, 41, 41]
    moved = sum(data["contacts"] for type, data in events_about(campaign) if type == "campaign.distributed")
    assert moved == 203


def test_given_agents_at_work_and_agents_who_come_and_go_then_it_ends_even_and_no_activity_is_lost(
    owner: Api, boss: Api, small_batches: None
) -> None:
    # GIVEN agents who work on their contacts
    people = [person("viewer") for _ in range(3)]
    agents = [agent(one) for one in people]
    campaign = distributing(owner, *agents)
    contacts(campaign, 120, upload_id=upload(owner, campaign))
    share(campaign)
    worked: Counter[str] = Counter()
    stop = threading.Event()

    def work(me: Api) -> None:
        while not stop.is_set():
            mine = me.get(f"/campaigns/{campaign}/contacts", query=[("status", "new"), ("limit", "5")])
            for contact in mine.json()["items"]:
                answer = me.post(f"/contacts/{contact['id']}/activities", {"outcome": "contacted"})
                assert answer.status in (201, 404), answer  # it may be somebody else's by now
                worked[contact["id"]] += answer.status == 201

    def come_and_go() -> None:
        for n in range(9):
            boss.patch(f"/agents/{agents[n % 3]}", {"available": bool(n % 2)})
            distribute(UUID(campaign), always)

    # WHEN others come and go, and their contacts are distributed by two at once
    with ThreadPoolExecutor(6) as pool:
        working = [pool.submit(work, me) for me in people]
        moving = [pool.submit(come_and_go) for _ in range(2)]
        try:
            for done in moving:
                done.result(timeout=120)
        finally:
            stop.set()
        for done in working:
            done.result(timeout=60)
    # THEN in the end it is even, and everything that was said to be done is there
    contacts(campaign, 31)
    for one in agents:
        boss.patch(f"/agents/{one}", {"available": True})
    shared = share(campaign)
    assert set(shared) <= set(agents)
    assert max(shared.values()) - min(shared.get(one, 0) for one in agents) <= 1
    [row] = execute("SELECT count(*) AS n FROM contact_activities WHERE campaign_id = %(id)s", id=campaign)
    assert row.n == sum(worked.values()) > 0
    counts = execute(
        "SELECT agent_id, status, sum(n)::int AS n FROM contact_tallies WHERE campaign_id = %(id)s"
        " GROUP BY 1, 2 HAVING sum(n) <> 0 EXCEPT"
        " SELECT agent_id, status, count(*)::int FROM contacts WHERE campaign_id = %(id)s GROUP BY 1, 2",
        id=campaign,
    )
    assert counts == []


def test_given_a_campaign_whose_contacts_are_distributed_when_an_import_ends_then_its_contacts_are_too(
    owner: Api,
) -> None:
    campaign = distributing(owner, *[agent() for _ in range(3)])
    rows = [(f"Name {n}", f"{n}@example.com", "", "") for n in range(30)]
    imported(owner, campaign, table(*rows), dry_run=True)
    before = events_of(campaign).count("campaign.distribution_requested")
    imported(owner, campaign, table(*rows))
    assert sorted(held(campaign).values()) == [10, 10, 10]
    assert events_of(campaign).count("campaign.distribution_requested") == before + 1


def test_given_imports_meanwhile_then_nobody_waits_in_a_circle_and_it_ends_even(
    owner: Api, small_batches: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN three agents, and two imports that go on changing the same contacts, in opposite order
    monkeypatch.setattr(importing, "CHUNK_ROWS", 20)
    campaign = distributing(owner, *[agent() for _ in range(3)])
    rows = [(f"Name {n}", f"{n}@example.com", "", "") for n in range(200)]
    orders = (rows, [(f"{name} again", *rest) for name, *rest in reversed(rows)])
    asked = [send(owner, campaign, table(*order), on_duplicate="update").json() for order in orders]
    for one in asked:
        assert process(announced(one["file_id"])) == []
    stop = threading.Event()

    def distribute_on() -> None:
        while not stop.is_set():
            distribute(UUID(campaign), always)

    # WHEN their contacts are distributed all the time
    with ThreadPoolExecutor(4) as pool:
        distributions = [pool.submit(distribute_on) for _ in range(2)]
        try:
            for done in [pool.submit(work_on, UUID(one["id"]), always) for one in asked]:
                done.result(timeout=60)
        finally:
            stop.set()
        for done in distributions:
            done.result(timeout=60)
    # THEN both are there as a whole, and even
    for one in asked:
        state = status(owner, campaign, one["id"])
        assert (state["status"], state["rows_total"], state["rows_invalid"]) == ("processed", 200, 0)
    assert sorted(share(campaign).values()) == [66, 67, 67]


def test_given_contacts_that_are_locked_then_the_rest_is_shared_and_they_follow(owner: Api) -> None:
    one, two = agent(), agent()
    campaign = distributing(owner, one, two)
    made = contacts(campaign, 10)
    with owner_engine().begin() as connection, ThreadPoolExecutor(1) as pool:
        connection.exec_driver_sql("SELECT FROM contacts WHERE id = ANY(%(ids)s) FOR UPDATE", {"ids": made[:4]})
        done = pool.submit(distribute, UUID(campaign), always)
        for _ in range(200):
            if held(campaign).get(None) == 4:
                break
            threading.Event().wait(0.02)
        assert held(campaign)[None] == 4
        assert not done.done()
        connection.commit()
        done.result(timeout=30)
    assert held(campaign) == {one: 5, two: 5}


def test_given_an_agent_being_changed_when_distributed_then_the_change_is_waited_for(owner: Api) -> None:
    """Somebody who is about to be away has not yet seen that the campaign is distributed, and requests nothing."""
    one, two = agent(), agent()
    campaign = distributing(owner, one, two)
    contacts(campaign, 6)
    with owner_engine().begin() as connection, ThreadPoolExecutor(1) as pool:
        connection.exec_driver_sql("UPDATE agents SET available = false WHERE id = %(id)s", {"id": one})
        done = pool.submit(distribute, UUID(campaign), always)
        threading.Event().wait(0.3)
        assert not done.done()
        connection.commit()
        done.result(timeout=30)
    assert held(campaign) == {two: 6}


_names = st.integers(0, 5).map(lambda n: UUID(int=n + 1))


@given(
    held=st.dictionaries(st.none() | _names, st.integers(1, 50), max_size=7),
    agents=st.dictionaries(_names, st.booleans(), max_size=6),
)
def test_given_any_state_when_planned_then_it_adds_up_ends_even_and_moves_as_few_as_it_can(
    held: dict[UUID | None, int], agents: dict[UUID, bool]
) -> None:
    gives, gets = planned(held, agents)
    assert sum(gives.values()) == sum(gets.values())
    assert not gives.keys() & gets.keys()
    after = Counter(held)
    after.subtract(gives)
    after.update(gets)
    available = {agent for agent, is_available in agents.items() if is_available}
    if available:
        counts = [after[agent] for agent in available]
        assert max(counts) - min(counts) <= 1
        assert sum(counts) == sum(held.values())
        # The fewest there can be: what those give who may keep nothing, and what is above the best even shares.
        share, rest = divmod(sum(held.values()), len(available))
        most = sorted((held.get(agent, 0) for agent in available), reverse=True)
        excess = sum(max(0, n - share - (at < rest)) for at, n in enumerate(most))
        assert sum(gives.values()) == excess + sum(n for holder, n in held.items() if holder not in available)
    else:
        assert all(after[agent] == held.get(agent, 0) for agent in agents)
        assert not any(n for holder, n in after.items() if holder is not None and holder not in agents)


def _steps() -> st.SearchStrategy[list[tuple[str, int, int]]]:
    kinds = st.sampled_from(["add", "assign", "unassign", "away", "back", "work"])
    return st.lists(st.tuples(kinds, st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def everybody(stack: object) -> tuple[Api, list[str]]:
    """Somebody with campaigns, and four agents."""
    return person("project_admin"), [agent() for _ in range(4)]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps())
def test_given_anything_that_happens_when_distributed_then_it_ends_even_and_what_was_worked_on_stays(
    everybody: tuple[Api, list[str]], steps: list[tuple[str, int, int]]
) -> None:
    owner, agents = everybody
    for one in agents:
        owner.patch(f"/agents/{one}", {"available": True})
    campaign, assigned, away = distributing(owner), set[str](), set[str]()
    for kind, which, n in steps:
        one = agents[which]
        if kind == "add":
            contacts(campaign, n)
        elif kind == "assign":
            assign(owner, campaign, one)
            assigned.add(one)
        elif kind == "unassign":
            owner.delete(f"/campaigns/{campaign}/agents/{one}")
            assigned.discard(one)
        elif kind in ("away", "back"):
            owner.patch(f"/agents/{one}", {"available": kind == "back"})
            (away.add if kind == "away" else away.discard)(one)
        else:
            execute(
                "UPDATE contacts SET status = 'contacted' WHERE id IN (SELECT id FROM contacts"
                " WHERE campaign_id = %(c)s AND agent_id = %(a)s LIMIT %(n)s)",
                c=campaign,
                a=one,
                n=n,
            )
        before = holders(campaign)
        worked_on = {id: before[id] for id in contacted(campaign)}
        shared = share(campaign)
        able = assigned - away
        after = holders(campaign)
        assert all(after[id] == holder for id, holder in worked_on.items() if holder in assigned)
        assert {after[id] for id in worked_on} <= (assigned if able else {None, *assigned})
        if able:
            assert set(shared) <= able
            counts = [shared.get(one, 0) for one in able]
            assert max(counts) - min(counts) <= 1
            lost = [id for id, holder in holders(campaign).items() if before[id] in able and holder != before[id]]
            assert not lost or kind in ("assign", "back", "work")
        else:
            assert set(shared) - {None} <= assigned
