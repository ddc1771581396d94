"""A report as a page: figures, charts, and the tables they were drawn from."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import get_args

from markupsafe import Markup
from starlette.responses import HTMLResponse

from functions.reports import charts
from functions.reports.schemas import ActivityFigures, AgentReport, Bucket, BucketFigures, CampaignReport
from quintet.db.models.campaigns import ContactStatus, Outcome
from quintet.http.pages import html_page

_TEMPLATES = Path(__file__).parent / "templates"
_STATUSES = get_args(ContactStatus)
_OUTCOMES = get_args(Outcome)

MOST_COLUMNS = 92
"""A quarter by day. More days than that are drawn by week, or by month."""
MOST_BARS = 15


def page(report: CampaignReport | AgentReport, headers: Mapping[str, str]) -> HTMLResponse:
    """The page, which needs no script."""
    others: list[tuple[str, ActivityFigures]]
    if isinstance(report, CampaignReport):
        subject = report.campaign.name
        others = [(figures.agent_name or "No agent", figures) for figures in report.activity_by_agent]
    else:
        subject = report.agent.name
        others = [(figures.campaign_name, figures) for figures in report.activity_by_campaign]
    unit, buckets = _columns(report.activity_by_bucket, report.bucket)
    return html_page(
        _TEMPLATES,
        "report.html",
        headers=headers,
        report=report,
        subject=subject,
        kind="campaign" if isinstance(report, CampaignReport) else "agent",
        other="agent" if isinstance(report, CampaignReport) else "campaign",
        others=others,
        most_bars=MOST_BARS,
        statuses=_STATUSES,
        outcomes=_OUTCOMES,
        unit=unit,
        donut=report.contacts.total and charts.donut("Contacts by status", _present(report)),
        over_time=buckets and _over_time(unit, buckets),
        by_other=others and _by_other(others[:MOST_BARS]),
        percent=_percent,
        duration=_duration,
        day=_day,
    )


def _present(report: CampaignReport | AgentReport) -> dict[str, int]:
    counts = {status: getattr(report.contacts, status) for status in _STATUSES}
    return {status: n for status, n in counts.items() if n}


def _over_time(unit: Bucket, buckets: dict[date, list[int]]) -> Markup:
    one_year = min(buckets).year == max(buckets).year
    form = "%b %Y" if unit == "month" else "%-d %b" if one_year else "%-d %b %Y"
    labels = [first.strftime(form) for first in buckets]
    return charts.columns(f"Activities per {unit} by outcome", labels, _series(list(buckets.values())))


def _by_other(others: Sequence[tuple[str, ActivityFigures]]) -> Markup:
    return charts.bars("Activities by outcome", [name for name, _ in others], _series([_counts(f) for _, f in others]))


def _series(counts: Sequence[Sequence[int]]) -> dict[str, list[int]]:
    return {outcome: [each[place] for each in counts] for place, outcome in enumerate(_OUTCOMES)}


def _counts(figures: ActivityFigures) -> list[int]:
    return [getattr(figures, outcome) for outcome in _OUTCOMES]


def _columns(figures: Sequence[BucketFigures], bucket: Bucket) -> tuple[Bucket, dict[date, list[int]]]:
    """First day -> counts by outcome, in the smallest unit from `bucket` on that gives a chart few enough columns.

    Weeks stay weeks, for a month is none of them. A unit in which nothing was is a column too, if that is not too many.
    """
    units: tuple[Bucket, ...] = get_args(Bucket) if bucket == "day" else (bucket,)
    for unit in units:
        found = {_first_day(each.bucket, unit): [0] * len(_OUTCOMES) for each in figures}
        if found:
            found = {day: [0] * len(_OUTCOMES) for day in _days(min(found), max(found), unit)}
        if len(found) <= MOST_COLUMNS:
            break
    else:
        found = {_first_day(each.bucket, unit): [0] * len(_OUTCOMES) for each in figures}
    for each in figures:
        column = found[_first_day(each.bucket, unit)]
        column[:] = map(sum, zip(column, _counts(each), strict=True))
    return unit, found


def _days(first: date, last: date, unit: Bucket) -> list[date]:
    days = [first]
    while days[-1] < last:
        days.append(_first_day(days[-1] + timedelta(days={"day": 1, "week": 7, "month": 31}[unit]), unit))
    return days


def _first_day(day: date, unit: Bucket) -> date:
    if unit == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if unit == "month" else day


def _percent(rate: float | None) -> str:
    return "–" if rate is None else f"{rate:.1%}"  # noqa: RUF001


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "–"  # noqa: RUF001
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _day(day: date) -> str:
    return f"{day:%-d %b %Y}"
