"""HTTP of reports."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request
from starlette.responses import Response

from functions.reports import queries
from functions.reports.formats import MEDIA_TYPES, VARY, Format, choose
from functions.reports.schemas import AgentReport, Bucket, CampaignReport
from quintet.errors import BadRequest
from quintet.http.dependencies import Caller, SessionDep
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Day

router = Router(prefix="/reports", tags=["reports"])

_HEADERS = {**VARY, "cache-control": "private, no-cache"}
_FORMS: dict[int | str, dict[str, Any]] = {
    200: {"content": {MEDIA_TYPES[form]: {"schema": {"type": "string"}} for form in ("csv", "html")}}
}


async def _asked(
    start: Annotated[Day | None, Query(alias="from", description="First day of activities, UTC; default: all.")] = None,
    end: Annotated[Day | None, Query(alias="to", description="Last day of activities, UTC, included.")] = None,
    bucket: Annotated[Bucket, Query(description="What activities are added up by; weeks begin on Monday.")] = "day",
) -> dict[str, Any]:
    if start and end and start > end:
        raise BadRequest.at("query/from", "This day is after `to`.")
    return {"start": start, "end": end, "bucket": bucket}


async def _form(
    request: Request,
    format: Annotated[Format | None, Query(description="Rather than what `Accept` prefers.")] = None,
) -> Format:
    return choose(format, request.headers.get("accept", ""))


Asked = Annotated[dict[str, Any], Depends(_asked)]
Form = Annotated[Format, Depends(_form)]


@router.get("/campaigns/{campaign_id}", response_model=CampaignReport, responses=_FORMS | responses(403, 406))
async def report_on_campaign(
    session: SessionDep, caller: Caller, campaign_id: UUID, asked: Asked, form: Form
) -> Response:
    """Report on a campaign, for whoever created it: contacts as they are, activities, imports.

    Contacts and imports are as of now; `from` and `to` are about activities. As JSON, CSV or a page to look at.
    """
    return _answer(CampaignReport, queries.campaign_report(session, caller, campaign_id, **asked), form)


@router.get("/agents/{agent_id}", response_model=AgentReport, responses=_FORMS | responses(406))
async def report_on_agent(session: SessionDep, caller: Caller, agent_id: UUID, asked: Asked, form: Form) -> Response:
    """Report on an agent: contacts they have, and what they have done.

    To the agent all of it; to whoever created campaigns that they work on, what is about those. Contacts are as of
    now; `from` and `to` are about activities. As JSON, CSV or a page to look at.
    """
    return _answer(AgentReport, queries.agent_report(session, caller, agent_id, **asked), form)


def _answer(model: type[CampaignReport] | type[AgentReport], report: bytes, form: Format) -> Response:
    if form == "json":
        return Response(report, media_type=MEDIA_TYPES["json"], headers=_HEADERS)
    parsed = model.model_validate_json(report)
    if form == "html":
        from functions.reports.pages import page

        return page(parsed, _HEADERS)
    from functions.reports.tables import to_csv

    named = {"content-disposition": 'attachment; filename="report.csv"'}
    return Response(to_csv(parsed), media_type=MEDIA_TYPES["csv"], headers={**_HEADERS, **named})
