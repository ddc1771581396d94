"""The rules of campaigns."""

import datetime as dt
from typing import Any
from uuid import UUID

from sqlalchemy import func
from sqlalchemy.orm import Session

from functions.campaigns.campaigns.schemas import CampaignCreate, CampaignUpdate
from quintet.db.models.campaigns import Campaign
from quintet.errors import BadRequest
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.campaigns import require_campaign
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal


def create_campaign(session: Session, caller: Principal, *, new: CampaignCreate) -> Campaign:
    """A campaign of the caller's own."""
    caller.require(Permission.CAMPAIGNS_CREATE)
    _check_dates(new.start_date, new.end_date, "end_date")
    campaign = Campaign(**new.model_dump(), created_by=caller.user_id)
    session.add(campaign)
    session.flush()
    _record(session, EventType.CAMPAIGN_CREATED, campaign)
    return campaign


def update_campaign(
    session: Session, caller: Principal, *, campaign_id: UUID, change: CampaignUpdate, expected: frozenset[int] | None
) -> Campaign:
    """Change the fields sent; archiving is an event of its own, and bringing back a change like others."""
    campaign = require_campaign(session, caller, campaign_id)
    campaign.require_version(expected)
    changes = change.changes()
    archives = changes.pop("archived", None)
    start, end = (changes.get(name, getattr(campaign, name)) for name in ("start_date", "end_date"))
    _check_dates(start, end, "end_date" if "end_date" in changes else "start_date")
    fields = campaign.apply(changes)
    if archives is not None and archives is (campaign.archived_at is None):
        campaign.archived_at = func.now() if archives else None
        if not fields:
            campaign.touch()
        if archives:
            _record(session, EventType.CAMPAIGN_ARCHIVED, campaign)
        else:
            fields.append("archived")
    if fields:
        _record(session, EventType.CAMPAIGN_UPDATED, campaign, fields=fields)
    return campaign


def archive_campaign(
    session: Session, caller: Principal, *, campaign_id: UUID, expected: frozenset[int] | None
) -> None:
    """Archive. Repeatable."""
    change = CampaignUpdate(archived=True)
    update_campaign(session, caller, campaign_id=campaign_id, change=change, expected=expected)


def _check_dates(start: dt.date | None, end: dt.date | None, changed: str) -> None:
    if start and end and end < start:
        raise BadRequest.at(f"/{changed}", "The campaign's `end_date` is not to be before its `start_date`.")


def _record(session: Session, type: EventType, campaign: Campaign, **data: Any) -> None:
    record(session, type, subject=campaign.id, scope=scope_of("campaign", campaign.id), data=data)
