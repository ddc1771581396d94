"""The rules of assignments: who works on a campaign, and when its contacts are shared out."""

from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from quintet.db.models.campaigns import Agent, Campaign, CampaignAssignment
from quintet.errors import BadRequest, Conflict, FieldError, NotFound
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.campaigns import require_campaign
from quintet.identity.principal import Principal


class Assigned(NamedTuple):
    """Agents by whether the request assigned them or they were assigned before."""

    assigned: list[UUID]
    already_assigned: list[UUID]


def assign_agents(session: Session, caller: Principal, *, campaign_id: UUID, agents: dict[UUID, str]) -> Assigned:
    """Assign agents; repeatable. `agents`: where in the request each is, for the error that says who is unknown."""
    campaign = require_campaign(session, caller, campaign_id, archived=False)
    there = select(Agent.id).where(Agent.id.in_(agents)).order_by(Agent.id).with_for_update(read=True, key_share=True)
    known = set(session.scalars(there))
    if unknown := [pointer for agent, pointer in agents.items() if agent not in known]:
        errors = [FieldError(pointer, "There is no agent with this id.") for pointer in unknown]
        raise BadRequest("The input is not valid.", errors=errors)
    new = [{"campaign_id": campaign_id, "agent_id": agent, "assigned_by": caller.user_id} for agent in agents]
    statement = insert(CampaignAssignment).values(new).on_conflict_do_nothing()
    added = set(session.scalars(statement.returning(CampaignAssignment.agent_id)))
    came = Assigned([a for a in agents if a in added], [a for a in agents if a not in added])
    if added:
        ids = [str(agent) for agent in came.assigned]
        _record(session, EventType.CAMPAIGN_AGENTS_ASSIGNED, campaign, agent_ids=ids)
        _distribute_again(session, campaign)
    return came


def unassign_agent(session: Session, caller: Principal, *, campaign_id: UUID, agent_id: UUID) -> None:
    """Take an agent off a campaign; 404 when they are not on it. What came of their work keeps their name."""
    campaign = require_campaign(session, caller, campaign_id)
    removed = session.scalar(
        delete(CampaignAssignment)
        .where(CampaignAssignment.campaign_id == campaign_id, CampaignAssignment.agent_id == agent_id)
        .returning(CampaignAssignment.agent_id)
    )
    if removed is None:
        raise NotFound("This agent is not assigned to the campaign.")
    _record(session, EventType.CAMPAIGN_AGENT_UNASSIGNED, campaign, agent_id=str(agent_id))
    _record(session, EventType.CAMPAIGN_DISTRIBUTION_REQUESTED, campaign)  # what they leave open, at least


def distribute_contacts(session: Session, caller: Principal, *, campaign_id: UUID) -> None:
    """Have the new contacts shared out among the assigned agents who are available, and so from now on. Repeatable."""
    campaign = require_campaign(session, caller, campaign_id, archived=False)
    somebody = exists().where(
        CampaignAssignment.campaign_id == campaign_id, CampaignAssignment.agent_id == Agent.id, Agent.available
    )
    if not session.scalar(select(somebody)):
        raise Conflict(
            "No agent who is available is assigned to the campaign. Assign one first.",
            next={"rel": "assign", "href": f"/campaigns/{campaign_id}/assign"},
        )
    campaign.apply({"distributed": True})
    _distribute_again(session, campaign)


def _distribute_again(session: Session, campaign: Campaign) -> None:
    if campaign.distributed:
        _record(session, EventType.CAMPAIGN_DISTRIBUTION_REQUESTED, campaign)


def _record(session: Session, type: EventType, campaign: Campaign, **data: Any) -> None:
    record(session, type, subject=campaign.id, scope=scope_of("campaign", campaign.id), data=data)
