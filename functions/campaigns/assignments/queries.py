"""The SQL of assignments."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.campaigns.assignments.schemas import AssignedAgentRead, ContactCounts
from quintet.db.json import columns_of, page, timestamp
from quintet.identity.campaigns import OWN_AGENT, owned, rights, there_is, visible
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_COUNTED = ", ".join(
    f"'{status}', coalesce(sum(t.n) FILTER (WHERE t.status = '{status}'), 0)" for status in ContactCounts.model_fields
)
_COLUMNS = columns_of(
    AssignedAgentRead,
    "g",
    assigned_at=timestamp("m.assigned_at"),
    contacts=f"""(SELECT json_build_object({_COUNTED}) FROM contact_tallies t
        WHERE t.campaign_id = m.campaign_id AND t.agent_id = m.agent_id)""",
)
_AGENTS = f"""
    SELECT {_COLUMNS} FROM campaign_assignments m JOIN agents g ON g.id = m.agent_id
    WHERE m.campaign_id = %(campaign_id)s AND m.agent_id < %(before)s
      AND ({there_is("%(campaign_id)s", owned("c"))} OR m.agent_id = {OWN_AGENT})"""


def list_assigned(session: Session, caller: Principal, campaign_id: UUID, paging: PageRequest) -> bytes:
    """A page of a campaign's agents; an agent sees themselves only. 404 when the caller may not see the campaign."""
    params = {"campaign_id": campaign_id, **rights(caller)}
    return page(session, _AGENTS, params, paging, visible=there_is("%(campaign_id)s", visible("c")))
