"""The rules of agents."""

from typing import Any
from uuid import UUID

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from functions.agents.queries import sees_all
from functions.agents.schemas import AgentCreate, AgentUpdate
from quintet.db.models.accounts import User
from quintet.db.models.campaigns import Agent, Campaign, CampaignAssignment, Contact, ContactActivity
from quintet.errors import BadRequest, Conflict, Forbidden, NotFound
from quintet.events.record import SYSTEM, record, scope_of
from quintet.events.types import EventType
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal

_USES = (CampaignAssignment, Contact, ContactActivity)
"""What names an agent for good."""


def create_agent(session: Session, caller: Principal, *, new: AgentCreate) -> Agent:
    """A new agent."""
    caller.require(Permission.AGENTS_WRITE)
    _check_account(session, new.user_id)
    agent = Agent(**new.model_dump())
    session.add(agent)
    session.flush()
    _record(session, EventType.AGENT_CREATED, agent)
    return agent


def update_agent(
    session: Session, caller: Principal, *, agent_id: UUID, change: AgentUpdate, expected: frozenset[int] | None
) -> Agent:
    """Change the fields sent; of themselves, agents change only whether they are available."""
    agent = _locked(session, caller, agent_id)
    changes = change.changes()
    if not caller.can(Permission.AGENTS_WRITE) and (agent.user_id != caller.user_id or changes.keys() != {"available"}):
        raise Forbidden(f"This needs the permission {Permission.AGENTS_WRITE}; an agent may change only `available`.")
    agent.require_version(expected)
    if changes.get("user_id") != agent.user_id:
        _check_account(session, changes.get("user_id"))
    if fields := agent.apply(changes):
        _record(session, EventType.AGENT_UPDATED, agent, fields=fields)
    if "available" in fields:
        _distribute_again(session, agent_id)
    return agent


def delete_agent(session: Session, caller: Principal, *, agent_id: UUID, expected: frozenset[int] | None) -> None:
    """Remove an agent who was never assigned and never worked; 409 for others, whose work keeps their name."""
    agent = _locked(session, caller, agent_id)
    caller.require(Permission.AGENTS_WRITE)
    agent.require_version(expected)
    if session.scalar(select(or_(*(exists().where(use.agent_id == agent_id) for use in _USES)))):
        raise Conflict("The agent is assigned to a campaign, or has worked on one. Set `available` to false instead.")
    session.delete(agent)
    _record(session, EventType.AGENT_REMOVED, agent)


def _locked(session: Session, caller: Principal, agent_id: UUID) -> Agent:
    """The agent, locked; 404 when the caller may not see them."""
    agent = session.scalar(select(Agent).where(Agent.id == agent_id).with_for_update(key_share=True))
    if agent is None or not (sees_all(caller) or agent.user_id == caller.user_id):
        raise NotFound
    return agent


def _check_account(session: Session, user_id: UUID | None) -> None:
    if user_id and not session.scalar(select(exists().where(User.id == user_id, User.status == "active"))):
        raise BadRequest.at("/user_id", "There is no active account with this id.")


def _distribute_again(session: Session, agent_id: UUID) -> None:
    """Have the campaigns that the agent is assigned to share out their contacts anew, where they did before.

    The agent is locked: a campaign that is about to be distributed, or to assign them, waits to see the change.
    """
    campaigns = (
        select(Campaign.id)
        .join(CampaignAssignment, CampaignAssignment.campaign_id == Campaign.id)
        .where(CampaignAssignment.agent_id == agent_id, Campaign.distributed)
    )
    for campaign_id in session.scalars(campaigns).all():
        scope = scope_of("campaign", campaign_id)
        record(session, EventType.CAMPAIGN_DISTRIBUTION_REQUESTED, subject=campaign_id, scope=scope)


def _record(session: Session, type: EventType, agent: Agent, **data: Any) -> None:
    record(session, type, subject=agent.id, scope=SYSTEM, data=data)
