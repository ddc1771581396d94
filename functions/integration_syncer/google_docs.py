"""Google Docs: documents (https://developers.google.com/workspace/drive/api/reference/rest/v3).

At first all are listed; from then on the changes since, from a token that was asked for before the listing began.
"""

from typing import Any
from urllib.parse import quote, urlencode

from functions.integration_syncer.connection import Connection
from functions.integration_syncer.pages import Checkpoint, Fetched, Page, without_nul
from functions.integration_syncer.troubles import Refused

DOCUMENT = "application/vnd.google-apps.document"

_FIELDS = "id,name,mimeType,trashed,createdTime,modifiedTime,webViewLink,owners(displayName)"
_TOO_OLD = (400, 404, 410)
"""What is answered to a token that is no longer known."""


def next_page(connection: Connection, at: Checkpoint) -> Page:
    """What comes after the checkpoint."""
    if "token" not in at:
        answer = connection.get("/drive/v3/changes/startPageToken").json()
        return Page({"token": answer["startPageToken"], "pass": at.get("pass", 0) + 1, "listing": True})
    return _listed(connection, at) if at.get("listing") else _changes(connection, at)


def _listed(connection: Connection, at: Checkpoint) -> Page:
    query = {
        "q": f"mimeType = '{DOCUMENT}' and trashed = false",
        "pageSize": 100,
        "fields": f"nextPageToken,files({_FIELDS})",
    }
    found = _asked(connection, "/drive/v3/files", query, at.get("page"))
    records = [document(item) for item in found.get("files", [])]
    if following := found.get("nextPageToken"):
        return Page({**at, "page": following}, records, pass_number=at["pass"])
    done = {"token": at["token"], "pass": at["pass"]}
    return Page(done, records, pass_number=at["pass"], listed="document", done=True)


def _changes(connection: Connection, at: Checkpoint) -> Page:
    query = {"pageSize": 100, "fields": f"nextPageToken,newStartPageToken,changes(fileId,removed,file({_FIELDS}))"}
    try:
        found = _asked(connection, "/drive/v3/changes", query, at.get("page") or at["token"])
    except Refused as refused:
        if refused.status not in _TOO_OLD:
            raise
        return Page({"pass": at["pass"]})  # all over again
    records, removed = [], []
    for change in found.get("changes", []):
        file = change.get("file") or {}
        if change.get("removed") or file.get("trashed"):
            removed.append(change["fileId"])
        elif file.get("mimeType") == DOCUMENT:
            records.append(document(file))
    if following := found.get("nextPageToken"):
        return Page({**at, "page": following}, records, removed, pass_number=at["pass"])
    done = {"token": found["newStartPageToken"], "pass": at["pass"]}
    return Page(done, records, removed, pass_number=at["pass"], done=True)


def _asked(connection: Connection, path: str, query: dict[str, Any], page: str | None) -> dict[str, Any]:
    if page:
        query = {**query, "pageToken": page}
    found: dict[str, Any] = connection.get(f"{path}?{urlencode(query, quote_via=quote)}").json()
    return found


def document(item: dict[str, Any]) -> Fetched:
    """What is kept of a document."""
    data = {
        "name": item.get("name"),
        "url": item.get("webViewLink"),
        "created_at": item.get("createdTime"),
        "modified_at": item.get("modifiedTime"),
        "owners": [owner.get("displayName") for owner in item.get("owners", [])],
    }
    return Fetched("document", item["id"], without_nul(data))
