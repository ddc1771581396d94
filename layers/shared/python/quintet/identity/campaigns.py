"""Who may do what with a campaign: whoever created it everything, its agents work there. To others it does not exist.

For reads there are conditions in SQL, whose parameters are `rights`; for changes there is `require_campaign`.
"""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, Literal, ParamSpec, TypeVar
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from quintet.errors import Conflict, Forbidden, NotFound
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal

if TYPE_CHECKING:
    from quintet.db.models.campaigns import Campaign

Part = Literal["agent", "owner"]
_P = ParamSpec("_P")
_R = TypeVar("_R")

OWN_AGENT = "(SELECT id FROM agents WHERE user_id = %(caller)s)"
"""SQL: the agent the caller is, if they are one."""


def rights(caller: Principal) -> dict[str, object]:
    """Parameters of the conditions: who asks, and whether they may do everything with every campaign."""
    return {"caller": caller.user_id, "manages": caller.can(Permission.CAMPAIGNS_MANAGE_ALL)}


def owned(campaign: str) -> str:
    """SQL: the caller may do everything with the campaign of this alias."""
    return f"(%(manages)s OR {campaign}.created_by = %(caller)s)"


def worked_on(campaign_id: str) -> str:
    """SQL: the caller is an agent who is assigned to the campaign with this id."""
    return f"""EXISTS (
        SELECT FROM campaign_assignments a WHERE a.campaign_id = {campaign_id} AND a.agent_id = {OWN_AGENT})"""


def visible(campaign: str) -> str:
    """SQL: the caller may see the campaign of this alias."""
    return f"({owned(campaign)} OR {worked_on(f'{campaign}.id')})"


def there_is(campaign_id: str, condition: str) -> str:
    """SQL: there is a campaign `c` with this id of which the condition holds: `visible("c")`, `owned("c")`."""
    return f"EXISTS (SELECT FROM campaigns c WHERE c.id = {campaign_id} AND {condition})"


def require_campaign(
    session: Session,
    caller: Principal,
    campaign_id: UUID,
    *,
    at_least: Part = "owner",
    lock: bool = True,
    archived: bool = True,
) -> "Campaign":
    """The campaign, if the caller is at least that there: its `owner`, or an `agent` who is assigned.

    404 when they may not even see it, else 403. `lock`: nobody else changes it, or distributes its contacts, before
    the transaction ends; contacts can still be added to it, as by an import. `archived`: it may be, else that is a 409.
    """
    from quintet.db.models.campaigns import Agent, Campaign, CampaignAssignment  # 40 ms, which readers do without

    works_there = exists().where(
        CampaignAssignment.campaign_id == Campaign.id,
        CampaignAssignment.agent_id == Agent.id,
        Agent.user_id == caller.user_id,
    )
    statement = select(Campaign, works_there).where(Campaign.id == campaign_id)
    if lock:
        statement = statement.with_for_update(key_share=True, of=Campaign)
    row = session.execute(statement).one_or_none()
    if row is None:
        raise NotFound
    campaign, works = row
    if campaign.created_by != caller.user_id and not caller.can(Permission.CAMPAIGNS_MANAGE_ALL):
        if not works:
            raise NotFound
        if at_least == "owner":
            raise Forbidden("This is for whoever created the campaign.")
    if not archived:
        require_open(campaign_id, campaign.archived_at)
    return campaign


def for_owners(
    read: Callable[Concatenate[Session, Principal, UUID, _P], _R],
) -> Callable[Concatenate[Session, Principal, UUID, _P], _R]:
    """A read of what whoever created a campaign alone may see: where it says 404, the campaign's agents get a 403."""

    @wraps(read)
    def guarded(session: Session, caller: Principal, campaign_id: UUID, /, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return read(session, caller, campaign_id, *args, **kwargs)
        except NotFound:
            require_campaign(session, caller, campaign_id, lock=False)
            raise

    return guarded


def require_open(campaign_id: UUID, archived_at: datetime | None) -> None:
    """409 when the campaign is archived."""
    if archived_at:
        raise Conflict(
            "The campaign is archived, so it can only be read. Set its `archived` to false to bring it back.",
            next={"rel": "campaign", "href": f"/campaigns/{campaign_id}"},
        )
