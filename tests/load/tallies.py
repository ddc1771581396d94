"""The tallies of a campaign of a million contacts and a million activities, as the dispatcher has merged them."""

from uuid import UUID

import psycopg

AGENTS, DAYS = 100, 180
NEW = 5_000
"""Of a busy minute, not merged yet."""

_CONTACTS = """
    INSERT INTO contact_tallies (campaign_id, agent_id, status, n, merged)
    SELECT %(campaign)s, agent, status, 2000, true
    FROM unnest(%(agents)s::uuid[]) agent,
         unnest(ARRAY['new', 'contacted', 'converted', 'rejected', 'unreachable']) status"""
_ACTIVITIES = """
    INSERT INTO activity_tallies (campaign_id, agent_id, day, outcome, n, seconds, merged)
    SELECT %(campaign)s, agent, current_date - d, outcome, 14, 14 * 95, true
    FROM generate_series(0, %(days)s - 1) d, unnest(%(agents)s::uuid[]) agent,
         unnest(ARRAY['contacted', 'converted', 'rejected', 'unreachable']) outcome"""
_NEW = """
    WITH n AS (SELECT generate_series(1, %(new)s)), c AS (
        INSERT INTO contact_tallies (campaign_id, agent_id, status, n)
        SELECT %(campaign)s, (%(agents)s::uuid[])[1], 'converted', 1 FROM n)
    INSERT INTO activity_tallies (campaign_id, agent_id, day, outcome, n, seconds)
    SELECT %(campaign)s, (%(agents)s::uuid[])[1], current_date, 'converted', 1, 95 FROM n"""


def fill(connection: psycopg.Connection, campaign: UUID, agents: list[UUID]) -> None:
    """Write the tallies of a campaign, whose `AGENTS` agents share everything evenly."""
    for statement in (_CONTACTS, _ACTIVITIES, _NEW):
        connection.execute(statement, {"campaign": campaign, "agents": agents, "days": DAYS, "new": NEW})
    for table in ("contact_tallies", "activity_tallies"):
        connection.execute(f"ANALYZE {table}")
