"""What a report costs: pages read, which depend on agents and days and neither on contacts nor on other campaigns.

`pytest -s tests/integration/test_reports_cost.py` prints the plans; how long they take is in `make bench`.
"""

from typing import Any
from uuid import UUID

import psycopg

from functions.reports.queries import AGENT, CAMPAIGN
from infra.local.postgres import Postgres
from tests.load.tallies import AGENTS, DAYS, NEW, fill
from tests.support.campaigns import agent_of, assign, campaign_of
from tests.support.people import person
from tests.support.statements import execute

CAMPAIGNS = 6
OF_A_CAMPAIGN = (4 * DAYS * AGENTS + 2 * NEW) // 40
"""Pages with forty rows each; a hundred fill one."""
OF_AN_AGENT = CAMPAIGNS * (4 * DAYS + 2 * NEW // 40)
"""Each of the agent's days on a page of its own, since other agents' are between them; but not the latest minute's."""


def pages(sql: str, id: UUID, **params: Any) -> int:
    """Pages that a statement reads; prints its plan."""
    asked = {"id": id, "manages": True, "caller": id, "from": None, "to": None, "bucket": "day", **params}
    [[[plan]]] = execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", **asked)
    for (line,) in execute(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", **asked):
        print(line)
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])


def test_given_campaigns_of_a_million_contacts_then_a_report_reads_the_tallies_of_one(stack: Postgres) -> None:
    # GIVEN somebody's campaign, and beside it others as large of somebody else's, all with the same agents
    other, owner = person(), person()
    agents = [agent_of() for _ in range(AGENTS)]
    with psycopg.connect(stack.owner_url, autocommit=True) as connection:
        for creator in (*[other] * (CAMPAIGNS - 1), owner):
            campaign_id = campaign_of(creator)
            assign(campaign_id, agents[0], by=owner)
            fill(connection, campaign_id, agents)
    for table in ("contact_tallies", "activity_tallies"):
        [[counted]] = execute(f"SELECT sum(n) FROM {table} WHERE campaign_id = %(id)s", id=campaign_id)
        assert counted > 1_000_000
    # THEN
    for bucket in ("day", "month"):
        assert pages(CAMPAIGN, campaign_id, bucket=bucket) < OF_A_CAMPAIGN
    assert pages(AGENT, agents[0]) < OF_AN_AGENT
    assert pages(AGENT, agents[0], manages=False, caller=owner.id) < OF_AN_AGENT
    assert pages(AGENT, agents[0], manages=False) < OF_AN_AGENT  # to whom it does not exist
    for table in ("contact_tallies", "activity_tallies"):
        execute(f"DELETE FROM {table} WHERE agent_id = ANY(%(agents)s)", agents=agents)
