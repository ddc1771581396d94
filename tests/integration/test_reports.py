"""What reports say, against a count of the rows they are about; and of whom and to whom."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.event_dispatcher.tallies import merge_tallies
from tests.support.api import Api
from tests.support.campaigns import activity_of, agent_of, assign, campaign_of, contact_of
from tests.support.people import person
from tests.support.statements import counted, execute

pytestmark = pytest.mark.usefixtures("stack")

STATUSES = ("new", "contacted", "converted", "rejected", "unreachable")
OUTCOMES = STATUSES[1:]
FIRST = date(2025, 12, 22)
"""From here to the middle of January: a year, a month and ISO weeks end."""


# --- the same figures, counted by hand ---------------------------------------------------------------------


@dataclass
class Ledger:
    """What was put into the database, as Python has it."""

    contacts: list[tuple[int, int | None, str]] = field(default_factory=list)
    activities: list[tuple[int, int | None, str, int, datetime]] = field(default_factory=list)
    uploads: list[tuple[bool, str, tuple[int, ...]]] = field(default_factory=list)


def rounded(part: int, whole: int, places: str) -> float | None:
    """As one does by hand: halves go up."""
    return float((Decimal(part) / whole).quantize(Decimal(places), ROUND_HALF_UP)) if whole else None


def contact_figures(statuses: Iterable[str]) -> dict[str, Any]:
    found = list(statuses)
    counts = {status: found.count(status) for status in STATUSES}
    spoken_to = counts["contacted"] + counts["converted"] + counts["rejected"]
    return {
        "total": len(found),
        **counts,
        "conversion_rate": rounded(counts["converted"], len(found), "0.0001"),
        "contact_rate": rounded(spoken_to, len(found), "0.0001"),
    }


def activity_figures(activities: Iterable[tuple[str, int]]) -> dict[str, Any]:
    found = list(activities)
    seconds = sum(duration for _, duration in found)
    return {
        "total": len(found),
        **{outcome: sum(each == outcome for each, _ in found) for outcome in OUTCOMES},
        "seconds": seconds,
        "average_handling_time": rounded(seconds, len(found), "0.1"),
    }


def bucket_of(at: datetime, bucket: str) -> str:
    day = at.astimezone(UTC).date()
    if bucket == "week":
        year, week, _ = day.isocalendar()
        day = date.fromisocalendar(year, week, 1)
    if bucket == "month":
        day = day.replace(day=1)
    return day.isoformat()


def groups(pairs: Iterable[tuple[Any, tuple[str, int]]]) -> dict[Any, dict[str, Any]]:
    found: dict[Any, list[tuple[str, int]]] = {}
    for key, activity in pairs:
        found.setdefault(key, []).append(activity)
    return {key: activity_figures(activities) for key, activities in found.items()}


def within(at: datetime, start: date | None, end: date | None) -> bool:
    day = at.astimezone(UTC).date()
    return (start is None or start <= day) and (end is None or day <= end)


# --- random campaigns --------------------------------------------------------------------------------------

_moments = st.builds(
    lambda day, clock, hours: datetime.combine(FIRST + timedelta(day), clock, timezone(timedelta(hours=hours))),
    st.integers(0, 27),
    st.sampled_from([time(0), time(23, 59, 59, 999_999), time(0, 0, 0, 1), time(13, 30), time(5, 45)]),
    st.sampled_from([0, 0, 14, -12, 5.75]),
)
_people = st.sampled_from([None, 0, 1, 2])
_days = st.one_of(st.none(), st.integers(-1, 29).map(lambda n: FIRST + timedelta(n)))
_ledgers = st.builds(
    Ledger,
    contacts=st.lists(st.tuples(st.integers(0, 1), _people, st.sampled_from(STATUSES)), max_size=12),
    activities=st.lists(
        st.tuples(st.integers(0, 1), _people, st.sampled_from(OUTCOMES), st.integers(0, 3600), _moments), max_size=14
    ),
    uploads=st.lists(
        st.tuples(
            st.booleans(),
            st.sampled_from(["processed", "failed", "processing", "reverted"]),
            st.tuples(*[st.integers(0, 900)] * 4),
        ),
        max_size=3,
    ),
)


@dataclass
class Written:
    """Two campaigns of two people, three agents; to begin with, agent 0 is assigned to campaign 0."""

    owners: list[Api]
    campaigns: list[UUID]
    agents: list[UUID]
    accounts: list[Api]


def write(ledger: Ledger, *, merge: bool) -> Written:
    owners, accounts = [person(), person()], [person("viewer") for _ in range(3)]
    agents = [agent_of(account, f"Agent {n}") for n, account in enumerate(accounts)]
    written = Written(owners, [campaign_of(owner) for owner in owners], agents, accounts)
    assign(written.campaigns[0], agents[0], by=owners[0])
    anybody = [contact_of(campaign_id) for campaign_id in written.campaigns]
    for campaign, agent, status in ledger.contacts:
        # GIVEN what has come to be so, rather than was made so
        id = contact_of(written.campaigns[campaign])
        execute(
            "UPDATE contacts SET status = %(status)s, agent_id = %(agent)s WHERE id = %(id)s",
            status=status,
            agent=None if agent is None else agents[agent],
            id=id,
        )
    for campaign, agent, outcome, duration, at in ledger.activities:
        agent_id = None if agent is None else agents[agent]
        activity_of(written.campaigns[campaign], anybody[campaign], agent_id, outcome=outcome, duration=duration, at=at)
    if merge:
        merge_tallies(lambda: True)
    for dry_run, status, (made, changed, twice, bad) in ledger.uploads:
        execute(
            "INSERT INTO campaign_uploads (campaign_id, created_by, dry_run, status, rows_total, rows_created, "
            "rows_updated, rows_duplicate, rows_invalid) "
            "VALUES (%(c)s, %(by)s, %(dry)s, %(status)s, %(total)s, %(a)s, %(b)s, %(d)s, %(e)s)",
            c=written.campaigns[0],
            by=owners[0].id,
            dry=dry_run,
            status=status,
            total=made + changed + twice + bad,
            a=made,
            b=changed,
            d=twice,
            e=bad,
        )
    return written


def asked(start: date | None, end: date | None, bucket: str) -> list[tuple[str, str]]:
    days = {"from": start, "to": end}
    return [(name, day.isoformat()) for name, day in days.items() if day] + [("bucket", bucket)]


def split(report: dict[str, Any], section: str, key: str) -> dict[Any, dict[str, Any]]:
    """A list of the report by its key, without names."""
    items = [{name: value for name, value in item.items() if not name.endswith("_name")} for item in report[section]]
    return {item.pop(key): item for item in items}


many = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@many
@given(ledger=_ledgers, start=_days, end=_days, bucket=st.sampled_from(["day", "week", "month"]), merge=st.booleans())
def test_given_any_campaign_then_its_report_is_what_a_count_says(
    ledger: Ledger, start: date | None, end: date | None, bucket: str, merge: bool
) -> None:
    if start and end and start > end:
        start, end = end, start
    written = write(ledger, merge=merge)
    answer = written.owners[0].get(f"/reports/campaigns/{written.campaigns[0]}", query=asked(start, end, bucket))
    assert answer.status == 200, answer
    report = answer.json()
    here = [a for a in ledger.activities if a[0] == 0 and within(a[4], start, end)]
    assert report["contacts"] == contact_figures(
        ["new", *(status for campaign, _, status in ledger.contacts if campaign == 0)]
    )
    assert report["activity"] == activity_figures((outcome, duration) for _, _, outcome, duration, _ in here)
    by_bucket = groups((bucket_of(at, bucket), (outcome, duration)) for _, _, outcome, duration, at in here)
    assert split(report, "activity_by_bucket", "bucket") == by_bucket
    assert [item["bucket"] for item in report["activity_by_bucket"]] == sorted(by_bucket)
    by_agent = groups((agent, (outcome, duration)) for _, agent, outcome, duration, _ in here)
    ids = dict[int | None, str | None](enumerate(map(str, written.agents))) | {None: None}
    assert split(report, "activity_by_agent", "agent_id") == {ids[n]: figures for n, figures in by_agent.items()}
    names = {item["agent_id"]: item["agent_name"] for item in report["activity_by_agent"]}
    assert names == {ids[n]: None if n is None else f"Agent {n}" for n in by_agent}
    totals = [item["total"] for item in report["activity_by_agent"]]
    assert totals == sorted(totals, reverse=True)
    counting = [rows for dry_run, status, rows in ledger.uploads if not dry_run and status != "reverted"]
    made, changed, twice, bad = (sum(rows[n] for rows in counting) for n in range(4))
    assert report["imports"] == {
        "uploads": len(counting),
        "rows": made + changed + twice + bad,
        "created": made,
        "updated": changed,
        "duplicate": twice,
        "invalid": bad,
        "invalid_rate": rounded(bad, made + changed + twice + bad, "0.0001"),
    }


@many
@given(ledger=_ledgers, start=_days, end=_days, bucket=st.sampled_from(["day", "week", "month"]), merge=st.booleans())
def test_given_any_agent_then_their_report_is_what_a_count_says_to_whoever_asks(
    ledger: Ledger, start: date | None, end: date | None, bucket: str, merge: bool
) -> None:
    if start and end and start > end:
        start, end = end, start
    written = write(ledger, merge=merge)
    for agent, agent_id in enumerate(written.agents):
        met = {campaign for campaign, who, *_ in (*ledger.contacts, *ledger.activities) if who == agent}
        met |= {0} if agent == 0 else set()  # which is assigned there
        themselves = written.accounts[agent]
        callers = [(themselves, {0, 1}), (written.owners[0], {0}), (written.owners[1], {1})]
        for caller, campaigns in [*callers, (written.accounts[agent - 1], set[int]())]:
            answer = caller.get(f"/reports/agents/{agent_id}", query=asked(start, end, bucket))
            if caller is not themselves and not campaigns & met:
                assert answer.status == 404, answer
                continue
            assert answer.status == 200, answer
            report = answer.json()
            theirs = [a for a in ledger.activities if a[0] in campaigns and a[1] == agent and within(a[4], start, end)]
            assert report["contacts"] == contact_figures(
                status for campaign, holder, status in ledger.contacts if campaign in campaigns and holder == agent
            )
            assert report["activity"] == activity_figures((outcome, duration) for _, _, outcome, duration, _ in theirs)
            assert split(report, "activity_by_bucket", "bucket") == groups(
                (bucket_of(at, bucket), (outcome, duration)) for _, _, outcome, duration, at in theirs
            )
            assert split(report, "activity_by_campaign", "campaign_id") == groups(
                (str(written.campaigns[campaign]), (outcome, duration)) for campaign, _, outcome, duration, _ in theirs
            )


# --- particular cases --------------------------------------------------------------------------------------


@pytest.fixture
def campaign_id(owner: Api) -> UUID:
    """A campaign of the owner's in which nothing has happened."""
    return campaign_of(owner, "An empty campaign", start_date=date(2026, 1, 1))


def test_given_an_empty_campaign_then_its_report_is_zeros_and_there_are_no_rates(owner: Api, campaign_id: UUID) -> None:
    report = owner.get(f"/reports/campaigns/{campaign_id}").json()
    assert report["campaign"] == {
        "id": str(campaign_id),
        "name": "An empty campaign",
        "status": "draft",
        "start_date": "2026-01-01",
        "end_date": None,
        "archived": False,
    }
    assert (report["from"], report["to"], report["bucket"]) == (None, None, "day")
    assert report["contacts"] == contact_figures([])
    assert report["activity"] == activity_figures([])
    assert report["activity_by_bucket"] == report["activity_by_agent"] == []
    assert report["imports"] == dict.fromkeys(("uploads", "rows", "created", "updated", "duplicate", "invalid"), 0) | {
        "invalid_rate": None
    }


def test_given_an_archived_campaign_then_its_report_says_so_and_all_it_said_before(
    owner: Api, campaign_id: UUID
) -> None:
    activity_of(campaign_id, contact_of(campaign_id, status="converted"), outcome="converted", duration=31)
    before = owner.get(f"/reports/campaigns/{campaign_id}").json()
    execute("UPDATE campaigns SET archived_at = now() WHERE id = %(id)s", id=campaign_id)
    after = owner.get(f"/reports/campaigns/{campaign_id}").json()
    assert after == {**before, "campaign": {**before["campaign"], "archived": True}}
    assert (after["activity"]["total"], after["contacts"]["conversion_rate"]) == (1, 1.0)


def test_given_midnight_utc_then_it_begins_the_day_wherever_the_session_is(owner: Api, campaign_id: UUID) -> None:
    contact_id = contact_of(campaign_id)
    for at in ("2026-02-28T23:59:59.999999Z", "2026-03-01T00:00:00Z"):
        activity_of(campaign_id, contact_id, at=datetime.fromisoformat(at))
    # GIVEN one more, written by a session that is half a day ahead
    execute(
        "SET LOCAL TIME ZONE 'Pacific/Kiritimati'; "
        f"INSERT INTO contact_activities (campaign_id, contact_id, outcome, at) "
        f"VALUES ('{campaign_id}', '{contact_id}', 'contacted', '2026-03-01 08:00')"
    )

    def days(**asked: str) -> list[tuple[str, int]]:
        report = owner.get(f"/reports/campaigns/{campaign_id}", query=list(asked.items())).json()
        return [(item["bucket"], item["total"]) for item in report["activity_by_bucket"]]

    assert days() == [("2026-02-28", 2), ("2026-03-01", 1)]
    assert days(bucket="month") == [("2026-02-01", 2), ("2026-03-01", 1)]
    assert days(bucket="week") == [("2026-02-23", 3)]
    assert days(**{"from": "2026-03-01"}) == days(**{"from": "2026-03-01", "to": "2026-03-01"}) == [("2026-03-01", 1)]
    assert days(to="2026-02-28") == [("2026-02-28", 2)]
    assert days(**{"from": "0001-01-01", "to": "9999-12-31"}) == days()


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ([("from", "2026-01-02"), ("to", "2026-01-01")], "query/from"),
        ([("from", "0")], "query/from"),
        ([("to", "2026-01-01T00:00:00Z")], "query/to"),
        ([("to", "2026-02-30")], "query/to"),
        ([("bucket", "hour")], "query/bucket"),
        ([("format", "pdf")], "query/format"),
    ],
)
def test_given_a_wrong_question_then_400_says_where(
    owner: Api, campaign_id: UUID, query: list[tuple[str, str]], pointer: str
) -> None:
    answer = owner.get(f"/reports/campaigns/{campaign_id}", query=query)
    assert answer.status == 400
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_given_an_agent_taken_off_then_who_created_the_campaign_sees_what_they_did_there(owner: Api) -> None:
    campaign_id, agent_id = campaign_of(owner), agent_of()
    path = f"/reports/agents/{agent_id}"
    assert owner.get(path).status == 404
    assign(campaign_id, agent_id, by=owner)
    assert owner.get(path).json()["activity"]["total"] == 0
    activity_of(campaign_id, contact_of(campaign_id), agent_id)
    execute("DELETE FROM campaign_assignments WHERE agent_id = %(id)s", id=agent_id)
    # THEN also when the days asked for have nothing
    assert owner.get(path, query=[("to", "2000-01-01")]).json()["activity"]["total"] == 0
    assert owner.get(path).json()["activity"]["total"] == 1
    assert person().get(path).status == 404


def test_given_each_report_then_it_is_one_statement_besides_the_callers(owner: Api) -> None:
    campaign_id, agent_id = campaign_of(owner), agent_of()
    assign(campaign_id, agent_id, by=owner)
    for path in (f"/reports/campaigns/{campaign_id}", f"/reports/agents/{agent_id}"):
        for form in ("json", "csv", "html"):
            with counted() as statements:
                answer = owner.get(path, query=[("format", form)])
            assert answer.status == 200
            assert len(statements) == 2, statements
