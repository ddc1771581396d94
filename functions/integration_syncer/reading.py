"""What can be read of a service on demand, and what stands in for it while the service is out of reach."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from functions.integration_syncer import github
from functions.integration_syncer.connection import Connection
from functions.integration_syncer.pages import Fetched, without_nul

_LONGEST_TEXT = 1_000_000
"""Bytes of a document that are kept: it is read as a part of an answer, which has 6 MB at most."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One kind of question: how it is asked, and which record was its last good answer."""

    ask: Callable[[Connection, dict[str, Any]], Fetched]
    kind: str
    known_by: Callable[[dict[str, Any]], dict[str, Any]]
    """What the data of that record contains."""


def _repository(connection: Connection, asked: dict[str, Any]) -> Fetched:
    return github.repository(connection.get(f"/repos/{asked['owner']}/{asked['repository']}", github.HEADERS).json())


def _issue(connection: Connection, asked: dict[str, Any]) -> Fetched:
    path = f"/repos/{asked['owner']}/{asked['repository']}/issues/{asked['number']}"
    return github.issue(connection.get(path, github.HEADERS).json())


def _document(connection: Connection, asked: dict[str, Any]) -> Fetched:
    """As plain text: https://developers.google.com/workspace/drive/api/reference/rest/v3/files/export"""
    path = f"/drive/v3/files/{quote(asked['document'])}/export?{urlencode({'mimeType': 'text/plain'})}"
    content = connection.get(path, {"accept": "text/plain"}).body[:_LONGEST_TEXT]
    data = {"document_id": asked["document"], "text": content.decode("utf-8-sig", "ignore")}
    return Fetched("document_text", asked["document"], without_nul(data))


READINGS: dict[str, Reading] = {
    "github.repository": Reading(
        _repository, "repository", lambda asked: {"full_name": f"{asked['owner']}/{asked['repository']}"}
    ),
    "github.issue": Reading(
        _issue,
        "issue",
        lambda asked: {"repository": f"{asked['owner']}/{asked['repository']}", "number": asked["number"]},
    ),
    "google_docs.document": Reading(_document, "document_text", lambda asked: {"document_id": asked["document"]}),
}
