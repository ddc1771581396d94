"""Bodies of campaigns."""

import datetime as dt
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import AfterValidator, Field

from quintet.db.models.campaigns import CampaignStatus
from quintet.http.schemas import Day, Input, Output, Timestamp, Update, text


def _region(value: str) -> str:
    from phonenumbers import SUPPORTED_REGIONS  # 25 ms

    if value not in SUPPORTED_REGIONS:
        raise ValueError("not a country whose telephone numbers are known; send an ISO 3166-1 code such as DE")
    return value


Name = Annotated[str, text(200, min_length=1)]
Description = Annotated[str, text(20_000)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$"), AfterValidator(_region)]

_COUNTRY = Field(
    None, description="ISO 3166-1 alpha-2: where telephone numbers without a country code are.", examples=["DE"]
)
_ALIASES = {
    "name": ("title",),
    "start_date": ("startDate",),
    "end_date": ("endDate",),
    "default_country": ("defaultCountry",),
}


class CampaignCreate(Input):
    """A new campaign; its creator may do everything with it."""

    aliases: ClassVar = _ALIASES

    name: Name
    description: Description = ""
    status: CampaignStatus = "draft"
    start_date: Day | None = None
    end_date: Day | None = Field(None, description="Not before `start_date`.")
    default_country: Country | None = _COUNTRY


class CampaignUpdate(Update):
    """The fields to change."""

    aliases: ClassVar = _ALIASES

    name: Name = ""
    description: Description = ""
    status: CampaignStatus = "draft"
    start_date: Day | None = None
    end_date: Day | None = Field(None, description="Not before `start_date`.")
    default_country: Country | None = _COUNTRY
    archived: bool = Field(False, strict=True, description="False brings an archived campaign back.")


class CampaignRead(Output):
    """A campaign."""

    id: UUID
    name: str
    description: str
    status: CampaignStatus
    start_date: dt.date | None
    end_date: dt.date | None
    default_country: str | None
    distributed: bool = Field(
        description="Its new contacts are shared out, and are again whenever agents come, go or are not available."
    )
    created_by: UUID
    archived_at: Timestamp | None
    created_at: Timestamp
    updated_at: Timestamp
    version: int
