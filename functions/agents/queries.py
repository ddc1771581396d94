"""The SQL of agents."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from functions.agents.schemas import AgentRead
from quintet.db.json import Versioned, columns_of, page
from quintet.db.reads import rows
from quintet.errors import NotFound
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_COLUMNS = columns_of(
    AgentRead,
    "g",
    load="""(SELECT coalesce(sum(t.n), 0) FROM contact_tallies t JOIN campaigns c ON c.id = t.campaign_id
        JOIN campaign_assignments a ON a.campaign_id = c.id AND a.agent_id = t.agent_id
        WHERE t.agent_id = g.id AND t.status IN ('new', 'contacted') AND c.archived_at IS NULL)""",
    campaigns="""(SELECT count(*) FROM campaign_assignments a JOIN campaigns c ON c.id = a.campaign_id
        WHERE a.agent_id = g.id AND c.archived_at IS NULL)""",
)
_VISIBLE = "(%(all)s OR g.user_id = %(caller)s)"

_FILTERS = {
    "q": "(lower(g.name) ^@ lower(%(q)s) OR lower(g.email::text) ^@ lower(%(q)s))",
    "available": "g.available = %(available)s",
}


class Found(NamedTuple):
    """An agent as JSON with their version; and how much they have to do, which changes without it."""

    json: Versioned
    load: int
    campaigns: int


def sees_all(caller: Principal) -> bool:
    """Whether the caller may see every agent; others see themselves, if they are one."""
    allowing = (Permission.CAMPAIGNS_CREATE, Permission.CAMPAIGNS_MANAGE_ALL, Permission.AGENTS_WRITE)
    return any(map(caller.can, allowing))


def list_agents(
    session: Session, caller: Principal, paging: PageRequest, *, available: bool | None, q: str | None
) -> bytes:
    """A page of the agents the caller may see; `q` is how the name or the address begins."""
    params = {"available": available, "q": q, **_rights(caller)}
    conditions = [_VISIBLE, "g.id < %(before)s", *(sql for name, sql in _FILTERS.items() if params[name] is not None)]
    return page(session, f"SELECT {_COLUMNS} FROM agents g WHERE {' AND '.join(conditions)}", params, paging)


def read_agent(session: Session, caller: Principal, agent_id: UUID) -> Found:
    """One agent; 404 when there is none that the caller may see."""
    statement = f"""
        SELECT row_to_json(r)::text, r.version, r.load, r.campaigns
        FROM (SELECT {_COLUMNS} FROM agents g WHERE g.id = %(id)s AND {_VISIBLE}) r"""
    found = rows(session, statement, {"id": agent_id, **_rights(caller)})
    if not found:
        raise NotFound
    [(body, version, load, campaigns)] = found
    return Found(Versioned(body.encode(), version), load, campaigns)


def _rights(caller: Principal) -> dict[str, object]:
    return {"caller": caller.user_id, "all": sees_all(caller)}
