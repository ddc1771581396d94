"""Campaigns, agents, contacts and activities as rows, for tests that need many of them."""

import secrets
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tests.support.api import Api
from tests.support.statements import execute


def campaign_of(owner: Api, name: str = "A campaign", **columns: Any) -> UUID:
    """A campaign that `owner` created."""
    return _insert("campaigns", name=name, created_by=owner.id, **columns)


def agent_of(account: Api | None = None, name: str = "An agent") -> UUID:
    """An agent, linked to this account."""
    email = f"{secrets.token_hex(8)}@example.com"
    return _insert("agents", name=name, email=email, user_id=account.id if account else None)


def assign(campaign_id: UUID, agent_id: UUID, *, by: Api) -> None:
    """Assign an agent to a campaign."""
    execute(
        "INSERT INTO campaign_assignments (campaign_id, agent_id, assigned_by) VALUES (%(c)s, %(a)s, %(by)s)",
        c=campaign_id,
        a=agent_id,
        by=by.id,
    )


def contact_of(campaign_id: UUID, agent_id: UUID | None = None, *, status: str = "new") -> UUID:
    """A contact of a campaign."""
    email = f"{secrets.token_hex(8)}@example.com"
    return _insert("contacts", campaign_id=campaign_id, agent_id=agent_id, status=status, email=email)


def activity_of(
    campaign_id: UUID,
    contact_id: UUID,
    agent_id: UUID | None = None,
    *,
    outcome: str = "contacted",
    duration: int = 0,
    at: datetime | None = None,
) -> UUID:
    """An activity, which leaves the contact's status as it is."""
    return _insert(
        "contact_activities",
        campaign_id=campaign_id,
        contact_id=contact_id,
        agent_id=agent_id,
        outcome=outcome,
        duration=duration,
        at=at or datetime.now(UTC),
    )


def _insert(table: str, **columns: Any) -> UUID:
    names, values = ", ".join(columns), ", ".join(f"%({name})s" for name in columns)
    ((id,),) = execute(f"INSERT INTO {table} ({names}) VALUES ({values}) RETURNING id", **columns)
    return UUID(str(id))
