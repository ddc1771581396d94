"""The SQL of campaigns."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.campaigns.campaigns.schemas import CampaignRead
from quintet.db.json import Versioned, columns_of, one, page
from quintet.db.models.campaigns import CampaignStatus
from quintet.identity.campaigns import OWN_AGENT, rights, visible
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_COLUMNS = columns_of(CampaignRead, "p")
_EVERY = f"SELECT {_COLUMNS} FROM campaigns p WHERE true"
_OWN = f"SELECT {_COLUMNS} FROM campaigns p WHERE p.created_by = %(caller)s"
_ASSIGNED = f"""SELECT {_COLUMNS} FROM campaign_assignments m JOIN campaigns p ON p.id = m.campaign_id
    WHERE m.agent_id = {OWN_AGENT} AND p.created_by <> %(caller)s"""

_FILTERS = {
    "status": "p.status = %(status)s",
    "created_by": "p.created_by = %(created_by)s",
    "q": "p.search @@ words_sought(%(q)s)",
}


def list_campaigns(
    session: Session,
    caller: Principal,
    paging: PageRequest,
    *,
    status: CampaignStatus | None,
    created_by: UUID | None,
    q: str | None,
    archived: bool,
) -> bytes:
    """A page of the campaigns that the caller created or works on, or of all with `campaigns:manage_all`."""
    asked = {"status": status, "created_by": created_by, "q": q}
    given = {name: value for name, value in asked.items() if value is not None}
    conditions = ["p.id < %(before)s", *(_FILTERS[name] for name in given)]
    if not archived:
        conditions.append("p.archived_at IS NULL")
    matching = " AND ".join(["", *conditions])
    if caller.can(Permission.CAMPAIGNS_MANAGE_ALL):
        sql = _EVERY + matching
    else:  # each half walks an index from its newest row on and stops after a page
        newest = f"{matching} ORDER BY p.id DESC LIMIT %(limit)s + 1"
        sql = f"({_OWN}{newest}) UNION ALL ({_ASSIGNED}{newest})"
    return page(session, sql, {**given, "caller": caller.user_id}, paging)


def read_campaign(session: Session, caller: Principal, campaign_id: UUID) -> Versioned:
    """One campaign; 404 when there is none that the caller may see."""
    return one(session, f"{_EVERY} AND p.id = %(id)s AND {visible('p')}", {"id": campaign_id, **rights(caller)})
