"""The forms a report can be had in: which one is sent, and that nothing in a name is more than text there."""

import base64
import csv
import hashlib
import io
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any
from uuid import UUID
from xml.etree import ElementTree

import pytest

from tests.support.api import Api
from tests.support.campaigns import activity_of, agent_of, assign, campaign_of, contact_of
from tests.support.statements import execute

pytestmark = pytest.mark.usefixtures("stack")

HOSTILE = """</title><script>alert(1)</script> & "quoted" 'single' {{ 7 * 7 }} <img src=x onerror=alert(2)>"""
FIRST = datetime(2026, 3, 2, 12, tzinfo=UTC)


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(answer.body.decode())
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(each == tag for each, _ in self.tags)


@pytest.fixture
def campaign_id(owner: Api) -> UUID:
    """A campaign whose name, and whose agent's name, are not meant well."""
    campaign_id, agent_id = campaign_of(owner, HOSTILE), agent_of(name=HOSTILE)
    assign(campaign_id, agent_id, by=owner)
    contact_id = contact_of(campaign_id, agent_id, status="converted")
    contact_of(campaign_id)
    for n, outcome in enumerate(("contacted", "rejected", "unreachable", "converted")):
        activity_of(campaign_id, contact_id, agent_id, outcome=outcome, duration=90, at=FIRST + timedelta(days=3 * n))
    activity_of(campaign_id, contact_id, at=FIRST)
    execute(
        "INSERT INTO campaign_uploads (campaign_id, created_by, status, rows_total, rows_created, rows_invalid) "
        "VALUES (%(id)s, %(by)s, 'processed', 4, 3, 1)",
        id=campaign_id,
        by=owner.id,
    )
    return campaign_id


def paths(campaign_id: UUID) -> list[str]:
    """The campaign's report, and that of its agent."""
    ((agent_id,),) = execute("SELECT agent_id FROM campaign_assignments WHERE campaign_id = %(id)s", id=campaign_id)
    return [f"/reports/campaigns/{campaign_id}", f"/reports/agents/{agent_id}"]


# --- which form --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/*", "application/json"),
        ("text/csv", "text/csv"),
        ("TEXT/CSV; charset=utf-8", "text/csv"),
        ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", "text/html"),
        ("text/csv;q=0.4, text/html;q=0.5", "text/html"),
        ("text/html;q=0.000, */*;q=0.1", "application/json"),
        ("application/json;q=0, */*", "text/csv"),
        ("text/*;q=0.5, application/json;q=0.4, text/csv;q=0.1", "text/html"),
        ("nonsense", "application/json"),
        ("image/png, nonsense, text/html ; q=0.1", "text/html"),
    ],
)
def test_given_an_accept_header_then_the_form_liked_best_is_sent(
    owner: Api, campaign_id: UUID, accept: str | None, media_type: str
) -> None:
    headers = {} if accept is None else {"accept": accept}
    for path in paths(campaign_id):
        answer = owner.get(path, headers=headers)
        assert answer.status == 200
        assert (answer.header("content-type") or "").partition(";")[0] == media_type
        assert "Accept" in (answer.header("vary") or "")
        assert answer.header("cache-control") == "private, no-cache"


@pytest.mark.parametrize("accept", ["image/png", "application/xml, */*;q=0", "text/plain;q=1.0, text/rtf"])
def test_given_an_accept_header_that_nothing_fits_then_406_says_what_there_is(
    owner: Api, campaign_id: UUID, accept: str
) -> None:
    for path in paths(campaign_id):
        answer = owner.get(path, headers={"accept": accept})
        assert answer.status == 406
        assert "text/csv" in answer.json()["detail"]
        assert "Accept" in (answer.header("vary") or "")


def test_given_a_format_then_it_wins_over_accept(owner: Api, campaign_id: UUID) -> None:
    wanted = {"json": "application/json", "csv": "text/csv", "html": "text/html"}
    for path in paths(campaign_id):
        for form, media_type in wanted.items():
            answer = owner.get(path, query=[("format", form)], headers={"accept": "image/png"})
            assert (answer.status, (answer.header("content-type") or "").partition(";")[0]) == (200, media_type)


# --- CSV ---------------------------------------------------------------------------------------------------


def rows_of(answer: Any) -> list[dict[str, str]]:
    """The rows, by column."""
    assert answer.body.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"), newline="")))


def test_given_a_report_then_its_csv_has_every_figure_of_its_json(owner: Api, campaign_id: UUID) -> None:
    for path in paths(campaign_id):
        answer = owner.get(path, query=[("format", "csv"), ("from", "2026-03-02")])
        assert answer.header("content-disposition") == 'attachment; filename="report.csv"'
        figures = {
            (row["section"], row["id"] or row["bucket"], row["measure"]): row["value"]
            for row in rows_of(answer)
            if row["section"] != "report"
        }
        report = owner.get(path, query=[("from", "2026-03-02")]).json()
        expected: dict[tuple[str, str, str], str] = {}
        for section, content in report.items():
            for item in content if isinstance(content, list) else [content]:
                if section not in ("campaign", "agent") and isinstance(item, dict):
                    key = next((item.pop(name) for name in ("bucket", "agent_id", "campaign_id") if name in item), "")
                    for measure, value in item.items():
                        if not measure.endswith("_name"):
                            expected[section, key or "", measure] = "" if value is None else str(value)
        assert figures == expected
        about = [(row["measure"], row["value"]) for row in rows_of(answer) if row["section"] == "report"]
        assert about == [("from", "2026-03-02"), ("to", ""), ("bucket", "day")]


@pytest.mark.parametrize(
    "name",
    [
        *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\uff1d1"),
        *('x;=cmd|"/c calc"!A1', "x\t=1", 'x"=1', "x\n@y", "x, -2"),
    ],
)
def test_given_a_formula_as_a_name_then_no_spreadsheet_runs_it(owner: Api, name: str) -> None:
    campaign_id = campaign_of(owner, name)
    cells = {
        row["name"] for row in rows_of(owner.get(f"/reports/campaigns/{campaign_id}", query=[("format", "csv")]))
    } - {""}
    [cell] = cells
    assert cell != name
    # THEN whichever character separates cells, or ends a quotation, none begins as a formula does
    assert not any(part.lstrip()[:1] in tuple("=+-@\uff1d") for part in re.split(r'[,;\t\r\n"]', cell) if part.strip())
    assert cell.replace("'", "") == name


# --- the page ----------------------------------------------------------------------------------------------


def test_given_hostile_names_then_the_page_shows_them_as_text(owner: Api, campaign_id: UUID) -> None:
    for path in paths(campaign_id):
        page = Page(owner.get(path, headers={"accept": "text/html"}))
        assert page.count("script") == page.count("img") == 0
        assert HOSTILE in page.text
        assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


def test_given_the_page_then_its_policy_lets_in_all_it_has_and_nothing_else(owner: Api, campaign_id: UUID) -> None:
    for path in paths(campaign_id):
        answer = owner.get(path, headers={"accept": "text/html"})
        [style] = re.findall(rb"<style>(.*?)</style>", answer.body, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
        policy = answer.header("content-security-policy")
        assert policy == (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'"
        )
        page = Page(answer)
        assert page.count("style") == 1
        # THEN nothing is styled, loaded or run that the policy would refuse
        assert not [tag for tag, attributes in page.tags if {"style", "src", "href", "xlink:href"} & attributes.keys()]
        assert not {"script", "link", "object", "iframe"} & {tag for tag, _ in page.tags}


def test_given_the_page_then_each_chart_is_well_formed_and_named_and_each_mark_says_what_it_is(
    owner: Api, campaign_id: UUID
) -> None:
    for path, at_first in zip(paths(campaign_id), (2, 1), strict=True):  # one of them was no agent's
        answer = owner.get(path, headers={"accept": "text/html"})
        charts = [ElementTree.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", answer.body.decode(), re.DOTALL)]
        svg = "{http://www.w3.org/2000/svg}"
        assert [chart.findtext(f"{svg}title") for chart in charts] == [
            "Contacts by status",
            "Activities per day by outcome",
            "Activities by outcome",
        ]
        for chart in charts:
            assert chart.get("role") == "img"
            marks = [g for g in chart.iter(f"{svg}g") if g.get("class") in ("bar", "slice")]
            assert marks
            assert all(re.search(r"\d+ [a-z]+$", mark.findtext(f"{svg}title") or "") for mark in marks)
            names = {(g.get("class") or "").removeprefix("series ") for g in chart.iter(f"{svg}g")}
            assert "converted" in names
        titles = {mark.text for mark in charts[1].iter(f"{svg}title")}
        assert {f"2 Mar: {at_first} contacted", "5 Mar: 1 rejected", "3 Mar: 0 converted"} <= titles
        # AND the same figures are there as tables
        page = Page(answer)
        assert page.count("table") == 3
        assert "1 min 30 s" in page.text


def test_given_nothing_to_draw_then_the_page_says_so(owner: Api) -> None:
    campaign_id, agent_id = campaign_of(owner), agent_of()
    assign(campaign_id, agent_id, by=owner)
    for path in (f"/reports/campaigns/{campaign_id}", f"/reports/agents/{agent_id}"):
        page = Page(owner.get(path, headers={"accept": "text/html"}))
        assert page.count("svg") == 0
        assert "There are no contacts" in page.text
        assert "There were no activities in this time." in page.text


def test_given_one_status_alone_then_the_chart_is_a_whole_ring(owner: Api) -> None:
    campaign_id = campaign_of(owner)
    contact_of(campaign_id)
    answer = owner.get(f"/reports/campaigns/{campaign_id}", headers={"accept": "text/html"})
    assert b"<title>1 new</title>" in answer.body
    assert Page(answer).count("svg") == 1


@pytest.mark.parametrize(
    ("bucket", "days", "unit", "columns"),
    [
        ("day", [0], "day", 1),
        ("day", [0, 91], "day", 92),
        ("day", [0, 92], "week", 14),
        ("week", [0, 92], "week", 14),
        ("day", [0, 92 * 7], "month", 22),
        ("month", [0, 31], "month", 2),
        ("day", [0, 40_000], "month", 2),
        ("week", [0, 1_000], "week", 2),
    ],
)
def test_given_many_days_then_the_chart_has_as_many_columns_as_one_can_see(
    owner: Api, bucket: str, days: list[int], unit: str, columns: int
) -> None:
    campaign_id = campaign_of(owner)
    contact_id = contact_of(campaign_id)
    for n in days:
        activity_of(campaign_id, contact_id, at=FIRST + timedelta(days=n))
    query = [("bucket", bucket), ("format", "html")]
    html = owner.get(f"/reports/campaigns/{campaign_id}", query=query).body.decode()
    assert f"<h2>Activities per {unit}</h2>" in html
    [chart] = re.findall(rf"<svg(?:(?!</svg>).)*per {unit} by outcome.*?</svg>", html, re.DOTALL)
    assert chart.count(" contacted</title>") == columns
    # THEN no activity is left out
    drawn = [int(n) for n in re.findall(r"(\d+) contacted</title>", chart)]
    assert sum(drawn) == len(days)


def test_given_more_agents_than_bars_then_the_chart_has_the_busiest_and_the_table_all(owner: Api) -> None:
    campaign_id = campaign_of(owner)
    contact_id = contact_of(campaign_id)
    for n in range(17):
        agent_id = agent_of(name=f"Agent {n:02}")
        for _ in range(2 if n == 16 else 1):
            activity_of(campaign_id, contact_id, agent_id)
    html = owner.get(f"/reports/campaigns/{campaign_id}", query=[("format", "html")]).body.decode()
    assert html.count('<th scope="row">Agent ') == 17
    chart = html[html.index("<title>Activities by outcome") :].partition("</svg>")[0]
    assert chart.count(" contacted</title>") == 15
    assert "Agent 16: 2 contacted" in chart


def test_given_long_names_that_begin_alike_and_equal_ones_then_each_bar_says_whose_it_is(owner: Api) -> None:
    campaign_id = campaign_of(owner)
    contact_id = contact_of(campaign_id)
    team = "Telephone team of the northern branch, "
    for times, name in enumerate((f"{team}late shift", f"{team}early shift", "Ada Lovelace", "Ada Lovelace"), 1):
        agent_id = agent_of(name=name)
        for _ in range(times):
            activity_of(campaign_id, contact_id, agent_id)
    html = owner.get(f"/reports/campaigns/{campaign_id}", query=[("format", "html")]).body.decode()
    chart = html[html.index("<title>Activities by outcome") :].partition("</svg>")[0]
    # THEN numbers are in the order of the table, the busiest first
    for bar in (
        "Telephone team of … late shift: 1 contacted",
        "Telephone team of …early shift: 2 contacted",
        "Ada Lovelace (2): 3 contacted",
        "Ada Lovelace (1): 4 contacted",
    ):
        assert bar in chart


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (59, ">59 s<"),
        (60, ">1 min 00 s<"),
        (3_599, ">59 min 59 s<"),
        (3_600, ">1 h 00 min<"),
        (43_200, ">12 h 00 min<"),
    ],
)
def test_given_a_handling_time_then_the_page_has_it_as_people_say_it(owner: Api, seconds: int, text: str) -> None:
    campaign_id = campaign_of(owner)
    activity_of(campaign_id, contact_of(campaign_id), duration=seconds)
    page = owner.get(f"/reports/campaigns/{campaign_id}", query=[("format", "html")]).body.decode()
    assert f"<dd{text}/dd>" in page
