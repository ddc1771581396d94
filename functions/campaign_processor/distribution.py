"""Sharing a campaign's contacts out among its available agents: new ones so that they differ by one at most.

Open ones that nobody on the campaign has, since an agent left, go with them. Where nothing has been distributed they
become nobody's, and nothing else moves.

Step by step: each is a short transaction that looks at who has how many and moves a few thousand at most, only from
those who have too many to those who have too few. So it can end anywhere, and be done again or twice at once.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.db.session import writing
from quintet.events.record import record, scope_of
from quintet.events.types import EventType

BATCH = 4_000
"""How many contacts are moved in one transaction: half a second."""

_GIVERS = 100
"""From how many agents in one transaction: each takes a statement."""

_PATIENCE = 60
"""Steps, half a second apart, in which everything to be moved is being worked on. No transaction is open so long."""

# One distribution of a campaign at a time, for a step; imports go on adding contacts.
_LOCK = "SELECT distributed FROM campaigns WHERE id = %(campaign_id)s FOR NO KEY UPDATE"

# Whoever is changing an agent has said so in a request that comes later, or is waited for here.
_AGENTS = """
    SELECT g.id, g.available FROM campaign_assignments a JOIN agents g ON g.id = a.agent_id
    WHERE a.campaign_id = %(campaign_id)s ORDER BY g.id FOR SHARE OF g"""

# Whom an assigned agent has contacted stays theirs.
_HELD = """
    SELECT status, agent_id, sum(n)::bigint AS n FROM contact_tallies t
    WHERE campaign_id = %(campaign_id)s AND (status = 'new' OR status = 'contacted' AND NOT EXISTS (
        SELECT FROM campaign_assignments a WHERE a.campaign_id = t.campaign_id AND a.agent_id = t.agent_id))
    GROUP BY status, agent_id HAVING sum(n) > 0 ORDER BY agent_id NULLS FIRST"""

_OPEN = ("new", "contacted")
"""What is shared out, one after the other."""

# What somebody is working on just now is passed over, so that nobody waits in a circle. The version stays: to whom
# a contact is given is no work on it, and does not keep an import from being undone.
_MOVE = """
    WITH taken AS MATERIALIZED (
        SELECT id FROM contacts
        WHERE campaign_id = %(campaign_id)s AND status = '{status}' AND {of_giver} AND id > %(after)s
        ORDER BY id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
    ), moved AS (
        UPDATE contacts k SET agent_id = taker.agent_id
        FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM taken) t
        JOIN unnest(%(takers)s::uuid[]) WITH ORDINALITY AS taker(agent_id, n) ON taker.n = t.n
        WHERE k.id = t.id
        RETURNING k.id
    )
    SELECT count(*) AS n, (SELECT id FROM taken ORDER BY id DESC LIMIT 1) AS last FROM moved"""

_FIRST = UUID(int=0)

Holder = UUID | None
"""An agent; None is nobody."""


class Step(NamedTuple):
    """What a step came to."""

    done: bool
    moved: int = 0


def distribute(campaign_id: UUID, time_left: Callable[[], bool]) -> None:
    """Share the contacts out; what there is no time left for is requested again."""
    reached: dict[tuple[str, Holder], UUID] = {}
    moved = stuck = 0
    while True:
        with writing() as session:
            step = _step(session, campaign_id, reached, moved)
            if not (step.done or time_left()):
                _record(session, EventType.CAMPAIGN_DISTRIBUTION_REQUESTED, campaign_id)
                return
        if step.done:
            return
        moved += step.moved
        stuck = 0 if step.moved else stuck + 1
        if stuck > _PATIENCE:
            raise TimeoutError(f"Contacts of campaign {campaign_id} to be moved are locked, or counted and not there.")
        if stuck:
            time.sleep(0.5)


def planned(held: Mapping[Holder, int], agents: Mapping[UUID, bool]) -> tuple[dict[Holder, int], dict[Holder, int]]:
    """How many contacts each gives away, and each gets.

    `held` is who has how many, `agents` who is assigned and whether they are available. With nobody available,
    contacts of those who are not assigned any more become nobody's, and the others stay.
    """
    due: dict[Holder, int]
    available = [agent for agent, is_available in agents.items() if is_available]
    if available:
        share, rest = divmod(sum(held.values()), len(available))
        by_most = sorted(available, key=lambda agent: (-held.get(agent, 0), agent))
        due = {agent: share + (at < rest) for at, agent in enumerate(by_most)}
    else:
        due = {agent: held.get(agent, 0) for agent in agents}
        due[None] = sum(held.values()) - sum(due.values())
    gives = {holder: n - due.get(holder, 0) for holder, n in held.items() if n > due.get(holder, 0)}
    gets = {holder: n - held.get(holder, 0) for holder, n in due.items() if n > held.get(holder, 0)}
    return gives, gets


def _step(session: Session, campaign_id: UUID, reached: dict[tuple[str, Holder], UUID], moved: int) -> Step:
    """Move some contacts; when all is even, record that. `reached` remembers up to where each giver was read."""
    connection, key = session.connection(), {"campaign_id": campaign_id}
    campaign = connection.exec_driver_sql(_LOCK, key).one_or_none()
    if campaign is None:
        return Step(done=True)
    agents = {r.id: r.available and campaign.distributed for r in connection.exec_driver_sql(_AGENTS, key)}
    held = connection.exec_driver_sql(_HELD, key).all()
    for status in _OPEN:
        gives, gets = planned({row.agent_id: row.n for row in held if row.status == status}, agents)
        if gives:
            break
    else:
        if campaign.distributed or moved:
            _record(session, EventType.CAMPAIGN_DISTRIBUTED, campaign_id, contacts=moved, agents=sum(agents.values()))
        return Step(done=True)
    takers, came = _in_turn(gets), 0
    for giver, n in islice(gives.items(), _GIVERS):
        takes = list(islice(takers, min(n, BATCH - came)))
        if not takes:
            break
        of_giver = "agent_id IS NULL" if giver is None else "agent_id = %(giver)s"
        after = reached.get((status, giver), _FIRST)
        row = connection.exec_driver_sql(
            _MOVE.format(status=status, of_giver=of_giver),
            {**key, "giver": giver, "after": after, "limit": len(takes), "takers": takes},
        ).one()
        came += row.n
        if row.n == len(takes):
            reached[status, giver] = row.last
        else:  # some were passed over: begin anew
            reached.pop((status, giver), None)
    return Step(done=False, moved=came)


def _in_turn(gets: Mapping[Holder, int]) -> Iterator[Holder]:
    """Each as often as they get one, one after the other."""
    left = dict(gets)
    while left:
        for holder in list(left):
            yield holder
            left[holder] -= 1
            if not left[holder]:
                del left[holder]


def _record(session: Session, type: EventType, campaign_id: UUID, **data: int) -> None:
    record(session, type, subject=campaign_id, scope=scope_of("campaign", campaign_id), data=data)
