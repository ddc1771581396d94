"""GitHub: repositories and issues (https://docs.github.com/en/rest, version 2022-11-28).

Repositories are listed as a whole, unless the first page, the last changed first, is as it was. Of issues those are
listed that have changed since the newest we know; newest first, so that what changes meanwhile comes twice rather than
not at all.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.integration_syncer.client import Answer
from functions.integration_syncer.connection import Connection
from functions.integration_syncer.pages import Checkpoint, Fetched, Page, without_nul

HEADERS = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}

_REPOSITORIES = "/user/repos?sort=updated&direction=desc&per_page=100"
_ISSUES = "/issues?filter=all&state=all&sort=updated&direction=desc&per_page=100"
_WHOLE_AFTER = timedelta(days=1)
"""After which all repositories are listed again, to see which have gone."""
_NEXT = re.compile(r'<([^<>]*)>\s*;[^,]*\brel="?next"?')
_TEXT = 10_000
"""Characters of an issue's text that are kept."""


def next_page(connection: Connection, at: Checkpoint) -> Page:
    """What comes after the checkpoint: pages of repositories, then of issues."""
    return _issues(connection, at) if at.get("phase") == "issues" else _repositories(connection, at)


def _repositories(connection: Connection, at: Checkpoint) -> Page:
    listing = at.get("listing")
    if listing is None:
        known = at.get("repositories", {})
        recent = known and datetime.fromisoformat(known["at"]) > datetime.now(UTC) - _WHOLE_AFTER
        answer = _get(connection, _REPOSITORIES, known["etag"] if recent else None)
        if answer.status == 304:
            return Page({**at, "phase": "issues"})
        begun = datetime.now(UTC).isoformat()
        listing = {"pass": at.get("pass", 0) + 1, "etag": answer.headers.get("etag"), "at": begun}
    else:
        answer = _get(connection, listing["next"])
    records = [repository(item) for item in answer.json()]
    page = listing["pass"]
    if following := next_link(answer):
        return Page({**at, "listing": {**listing, "next": following}}, records, pass_number=page)
    done = {**{name: at[name] for name in at if name != "listing"}, "phase": "issues", "pass": page}
    if listing["etag"]:
        done["repositories"] = {"etag": listing["etag"], "at": listing["at"]}
    return Page(done, records, pass_number=page, listed="repository")


def _issues(connection: Connection, at: Checkpoint) -> Page:
    issues = at.get("issues", {})
    since = issues.get("since")
    listing = issues.get("listing")
    if listing is None:
        url = f"{_ISSUES}&since={since}" if since else _ISSUES
        answer = _get(connection, url, issues.get("etag"))
        if answer.status == 304:
            return Page(_idle(at, issues), done=True)
        items = answer.json()
        newest = _before(items[0]["updated_at"]) if items else since
        # Good for the same address alone: when there is something new, the next has another `since`.
        etag = answer.headers.get("etag") if newest == since else None
        listing = {"since": newest, "etag": etag}
    else:
        answer = _get(connection, listing["next"])
        items = answer.json()
    records = [issue(item) for item in items]
    if following := next_link(answer):
        return Page({**at, "issues": {**issues, "listing": {**listing, "next": following}}}, records)
    return Page(_idle(at, listing), records, done=True)


def _idle(at: Checkpoint, issues: dict[str, Any]) -> Checkpoint:
    return {**at, "phase": "repositories", "issues": {"since": issues.get("since"), "etag": issues.get("etag")}}


def _get(connection: Connection, url: str, etag: str | None = None) -> Answer:
    return connection.get(url, {**HEADERS, "if-none-match": etag} if etag else HEADERS)


def next_link(answer: Answer) -> str | None:
    """The address of the next page (RFC 8288)."""
    found = _NEXT.search(answer.headers.get("link", ""))
    return found[1] if found else None


def _before(updated_at: str) -> str:
    """A second earlier: what changed within the same second is listed again."""
    earlier = datetime.fromisoformat(updated_at.replace("Z", "+00:00")) - timedelta(seconds=1)
    return earlier.strftime("%Y-%m-%dT%H:%M:%SZ")


def repository(item: dict[str, Any]) -> Fetched:
    """What is kept of a repository."""
    names = (
        *("full_name", "description", "private", "archived", "fork", "default_branch", "language"),
        *("html_url", "open_issues_count", "pushed_at", "updated_at"),
    )
    return Fetched("repository", str(item["id"]), without_nul({name: item.get(name) for name in names}))


def issue(item: dict[str, Any]) -> Fetched:
    """What is kept of an issue, or of a pull request."""
    at = item.get("repository_url", "")
    where = item["repository"]["full_name"] if "repository" in item else "/".join(at.split("/")[-2:])
    data = {name: item.get(name) for name in ("number", "title", "state", "html_url", "created_at", "updated_at")}
    data |= {
        "repository": where,
        "author": (item.get("user") or {}).get("login"),
        "labels": [label["name"] if isinstance(label, dict) else label for label in item.get("labels", [])],
        "is_pull_request": "pull_request" in item,
        "text": (item.get("body") or "")[:_TEXT],
    }
    return Fetched("issue", str(item["id"]), without_nul(data))
