"""HTTP of campaigns."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from starlette.responses import Response

from functions.campaigns.campaigns import queries, service
from functions.campaigns.campaigns.schemas import CampaignCreate, CampaignRead, CampaignUpdate
from quintet.db.models.campaigns import CampaignStatus
from quintet.http.answers import changed, created, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page, text

router = Router(prefix="/campaigns", tags=["campaigns"])


@router.get("", response_model=Page[CampaignRead])
async def list_campaigns(
    session: SessionDep,
    caller: Caller,
    paging: Paging,
    status: CampaignStatus | None = None,
    created_by: Annotated[UUID | None, Query(description="Campaigns of this account.")] = None,
    q: Annotated[str | None, text(200, min_length=1), Query(description="Words in name and description.")] = None,
    archived: Annotated[bool, Query(description="Archived campaigns too.")] = False,
) -> Response:
    """List the campaigns the caller created or is assigned to as an agent (all of them with `campaigns:manage_all`)."""
    return listed(
        queries.list_campaigns(session, caller, paging, status=status, created_by=created_by, q=q, archived=archived)
    )


@router.post("", status_code=201, response_model=CampaignRead, dependencies=[Idempotent], responses=responses(403))
async def create_campaign(request: Request, session: SessionDep, caller: Caller, new: CampaignCreate) -> Response:
    """Create a campaign, by default as a draft."""
    campaign = service.create_campaign(session, caller, new=new)
    return created(request, CampaignRead.model_validate(campaign), f"/campaigns/{campaign.id}")


@router.get("/{campaign_id}", response_model=CampaignRead)
async def read_campaign(request: Request, session: SessionDep, caller: Caller, campaign_id: UUID) -> Response:
    """Read one campaign."""
    return fresh(request, queries.read_campaign(session, caller, campaign_id))


@router.change("/{campaign_id}", response_model=CampaignRead, responses=responses(403))
async def update_campaign(
    session: SessionDep, caller: Caller, campaign_id: UUID, change: CampaignUpdate, expected: IfMatch
) -> Response:
    """Change the fields sent; for whoever created the campaign."""
    campaign = service.update_campaign(session, caller, campaign_id=campaign_id, change=change, expected=expected)
    return changed(CampaignRead.model_validate(campaign))


@router.delete("/{campaign_id}", status_code=204, responses=responses(403))
async def archive_campaign(session: SessionDep, caller: Caller, campaign_id: UUID, expected: IfMatch) -> Response:
    """Archive a campaign: lists leave it out, and it can only be read. Setting `archived` to false brings it back."""
    service.archive_campaign(session, caller, campaign_id=campaign_id, expected=expected)
    return Response(status_code=204)
