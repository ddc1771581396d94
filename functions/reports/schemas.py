"""What reports say. Rates are between 0 and 1, rounded to four places; null where there is nothing to divide by."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from quintet.db.models.campaigns import CampaignStatus
from quintet.http.schemas import Output

Bucket = Literal["day", "week", "month"]

Rate = Annotated[float | None, Field(ge=0, le=1)]


class ContactFigures(Output):
    """Contacts as they are now, whatever `from` and `to` say: how many have which status."""

    total: int
    new: int
    contacted: int
    converted: int
    rejected: int
    unreachable: int
    conversion_rate: Rate = Field(description="Those converted, of all.")
    contact_rate: Rate = Field(description="Those spoken to (contacted, converted or rejected), of all.")


class ActivityFigures(Output):
    """Activities between `from` and `to`: how many had which outcome, and how long they took."""

    total: int
    contacted: int
    converted: int
    rejected: int
    unreachable: int
    seconds: int = Field(description="What all of them took together.")
    average_handling_time: float | None = Field(description="Seconds per activity; null when there are none.")


class BucketFigures(ActivityFigures):
    """The activities of one day, week or month."""

    bucket: date = Field(description="Its first day: of a week its Monday (ISO 8601), in UTC.")


class AgentFigures(ActivityFigures):
    """The activities of one agent."""

    agent_id: UUID | None = Field(description="Null: of people who are no agents.")
    agent_name: str | None


class CampaignFigures(ActivityFigures):
    """The activities in one campaign."""

    campaign_id: UUID
    campaign_name: str


class ImportFigures(Output):
    """What imports brought, as of now; without dry runs, and without those that were reverted."""

    uploads: int
    rows: int
    created: int
    updated: int
    duplicate: int
    invalid: int
    invalid_rate: Rate = Field(description="Invalid rows, of all.")


class ReportedCampaign(Output):
    """The campaign a report is about."""

    id: UUID
    name: str
    status: CampaignStatus
    start_date: date | None
    end_date: date | None
    archived: bool


class ReportedAgent(Output):
    """The agent a report is about."""

    id: UUID
    name: str


class _Report(Output):
    start: date | None = Field(alias="from", description="As asked for; null: from the first activity on.")
    end: date | None = Field(alias="to", description="As asked for; null: up to now.")
    bucket: Bucket
    contacts: ContactFigures
    activity: ActivityFigures
    activity_by_bucket: list[BucketFigures] = Field(description="Oldest first; without buckets in which nothing was.")


class CampaignReport(_Report):
    """What came of a campaign."""

    campaign: ReportedCampaign
    activity_by_agent: list[AgentFigures] = Field(description="The most active first.")
    imports: ImportFigures


class AgentReport(_Report):
    """What an agent has done, in the campaigns that the caller may see this of."""

    agent: ReportedAgent
    activity_by_campaign: list[CampaignFigures] = Field(description="The one with most activities first.")
