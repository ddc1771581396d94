"""HTTP of assignments."""

from uuid import UUID

from starlette.responses import Response

from functions.campaigns.assignments import queries, service
from functions.campaigns.assignments.schemas import AgentsAssign, AgentsAssigned, AssignedAgentRead
from quintet.http.answers import changed, listed
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/campaigns/{campaign_id}", tags=["campaigns"])


@router.post("/assign", response_model=AgentsAssigned, responses=responses(403, 409))
async def assign_agents(session: SessionDep, caller: Caller, campaign_id: UUID, agents: AgentsAssign) -> Response:
    """Assign agents to a campaign, and say who was assigned before; for whoever created the campaign.

    May be repeated. Once contacts have been distributed, they are again, so that the new agents get their share.
    """
    came = service.assign_agents(session, caller, campaign_id=campaign_id, agents=agents.named())
    return changed(AgentsAssigned.model_validate(came))


@router.get("/agents", response_model=Page[AssignedAgentRead])
async def list_assigned_agents(session: SessionDep, caller: Caller, campaign_id: UUID, paging: Paging) -> Response:
    """List the agents assigned to a campaign, with their contacts there by status. An agent sees themselves only."""
    return listed(queries.list_assigned(session, caller, campaign_id, paging))


@router.delete("/agents/{agent_id}", status_code=204, responses=responses(403))
async def unassign_agent(session: SessionDep, caller: Caller, campaign_id: UUID, agent_id: UUID) -> Response:
    """Take an agent off a campaign; for whoever created it.

    Their contacts that are new or contacted go to the other agents, or to nobody if contacts have not been distributed
    or no agent is available. The others stay theirs.
    """
    service.unassign_agent(session, caller, campaign_id=campaign_id, agent_id=agent_id)
    return Response(status_code=204)


@router.post("/distribute", status_code=202, response_class=Response, responses=responses(403, 409))
async def distribute_contacts(session: SessionDep, caller: Caller, campaign_id: UUID) -> Response:
    """Share the new contacts out evenly among the assigned agents who are available; for the campaign's creator.

    It is done from a queue; the event `campaign.distributed` says when. From then on it is done by itself whenever an
    agent is assigned, unassigned, available or not. Nobody loses a contact that the balance lets them keep, and those
    contacted move only when their agent is unassigned.
    """
    service.distribute_contacts(session, caller, campaign_id=campaign_id)
    return Response(status_code=202)
