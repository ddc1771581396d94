"""Campaigns, agents and contacts as requests make them and tests count them. `campaigns` makes bare rows."""

import secrets
from typing import Any
from uuid import UUID

from tests.support.api import Api
from tests.support.statements import execute


def created(owner: Api, **fields: Any) -> dict[str, Any]:
    """A campaign of `owner`, as answered."""
    answer = owner.post("/campaigns", {"name": "A campaign", **fields})
    assert answer.status == 201, answer
    made: dict[str, Any] = answer.json()
    return made


def agent(account: Api | None = None, *, name: str = "An agent", available: bool = True) -> str:
    """The id of a new agent, who is `account` if given."""
    [row] = execute(
        "INSERT INTO agents (name, email, user_id, available)"
        " VALUES (%(name)s, %(email)s, %(user)s, %(available)s) RETURNING id",
        name=name,
        email=f"{secrets.token_hex(8)}@example.com",
        user=account and account.id,
        available=available,
    )
    return str(row.id)


def assign(owner: Api, campaign_id: str, *agents: str) -> None:
    """Assign agents to a campaign of `owner`."""
    answer = owner.post(f"/campaigns/{campaign_id}/assign", {"agent_ids": list(agents)})
    assert answer.status == 200, answer


def contacts(campaign_id: str, count: int = 1, *, agent_id: str | None = None, **columns: Any) -> list[str]:
    """The ids of new contacts of a campaign, oldest first."""
    columns = {"agent_id": agent_id, "email": None, **columns}
    given = ", ".join(
        f"coalesce(%({name})s, uuidv7() || '@example.com')" if name == "email" else f"%({name})s" for name in columns
    )
    rows = execute(
        f"INSERT INTO contacts (campaign_id, {', '.join(columns)})"
        f" SELECT %(campaign)s, {given} FROM generate_series(1, %(count)s) RETURNING id",
        campaign=campaign_id,
        count=count,
        **columns,
    )
    return sorted(str(row.id) for row in rows)


def held(campaign_id: str, status: str = "new") -> dict[str | None, int]:
    """How many contacts of this status everybody has, counted one by one; None is nobody."""
    rows = execute(
        "SELECT agent_id, count(*) AS n FROM contacts WHERE campaign_id = %(id)s AND status = %(status)s GROUP BY 1",
        id=campaign_id,
        status=status,
    )
    return {row.agent_id and str(row.agent_id): row.n for row in rows}


def upload(owner: Api, campaign_id: str, status: str = "processed") -> UUID:
    """The id of an import into a campaign."""
    [row] = execute(
        "INSERT INTO campaign_uploads (campaign_id, created_by, status)"
        " VALUES (%(campaign)s, %(owner)s, %(status)s) RETURNING id",
        campaign=campaign_id,
        owner=owner.id,
        status=status,
    )
    found: UUID = row.id
    return found


def ids(page: Any) -> list[str]:
    """The ids of a page's items, in order."""
    assert page.status == 200, page
    return [item["id"] for item in page.json()["items"]]


def events_of(campaign_id: str) -> list[str]:
    """The types of the events recorded in a campaign's scope, oldest first."""
    rows = execute("SELECT type FROM events WHERE scope = %(scope)s ORDER BY id", scope=f"campaign:{campaign_id}")
    return [row.type for row in rows]
