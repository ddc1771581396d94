"""A report as CSV (RFC 4180): one figure a row, safe to open in a spreadsheet.

With a byte order mark, without which a spreadsheet takes UTF-8 for something else.
"""

import csv
import io
from collections.abc import Iterator
from typing import Any

from functions.reports.schemas import AgentReport, CampaignReport
from quintet.spreadsheets import neutral

COLUMNS = ("section", "id", "name", "bucket", "measure", "value")


def to_csv(report: CampaignReport | AgentReport) -> bytes:
    """The report's figures, its sections under each other."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    writer.writerows(
        [neutral(value) if isinstance(value, str) else value for value in row]
        for row in _rows(report.model_dump(by_alias=True))
    )
    return file.getvalue().encode("utf-8-sig")


def _rows(report: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    """What is single first; then the lists, each of whose rows names its bucket, agent or campaign."""
    subject = report.pop("campaign", None) or report.pop("agent")
    for measure in ("from", "to", "bucket"):
        yield "report", subject["id"], subject["name"], "", measure, report.pop(measure)
    for section, content in report.items():
        for figures in content if isinstance(content, list) else [content]:
            id, name = (figures.pop(f"agent_{part}", figures.pop(f"campaign_{part}", "")) for part in ("id", "name"))
            bucket = figures.pop("bucket", "")
            for measure, value in figures.items():
                yield section, id, name, bucket, measure, value
