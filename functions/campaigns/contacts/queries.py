"""The SQL of contacts and activities."""

import re
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from functions.campaigns.contacts.schemas import ActivityRead, ContactRead
from quintet.db.json import Versioned, columns_of, page
from quintet.db.models.campaigns import ContactStatus
from quintet.db.reads import rows
from quintet.errors import NotFound
from quintet.identity.campaigns import OWN_AGENT, owned, rights, there_is, visible, worked_on
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_CONTACT = columns_of(ContactRead, "k")
_OWNED = there_is("%(campaign_id)s", owned("c"))
_ALL = f"SELECT {_CONTACT} FROM contacts k WHERE {_OWNED} AND k.campaign_id = %(campaign_id)s"
_OWN = f"""SELECT {_CONTACT} FROM contacts k
    WHERE NOT {_OWNED} AND k.agent_id = {OWN_AGENT} AND k.campaign_id = %(campaign_id)s"""

_FILTERS = {
    "status": "k.status = %(status)s",
    "agent_id": "k.agent_id = %(agent_id)s",
    "nobodys": "k.agent_id IS NULL",
    "upload_id": "k.upload_id = %(upload_id)s",
}

# A number is known by its end, whatever is dialled before it, and an address by what follows its @. Neither has an
# index: that is some hundred milliseconds in a million contacts.
_NUMBER = re.compile(r"\+?[\d\s()./-]+", re.ASCII)
_DOMAIN = re.compile(r"@?([^\s@%_\\]+\.[^\s@%_\\]+)")
_FEWEST_DIGITS = 4
_LAST_WORD = re.compile(r"([^\"]*?)([^\W_]+)")
"""What precedes it, and the word, which may not be all there yet; not one that is quoted."""
_LEFT_OUT = re.compile(r"(^|\s)-$")
"""What precedes a word that is not to be there."""

_MAY_SEE = f"""(
    {there_is("k.campaign_id", owned("c"))} OR k.agent_id = {OWN_AGENT} AND {worked_on("k.campaign_id")})"""
"""The caller may see the contact `k`: one of a campaign of theirs, or their own as an agent."""

_ONE = f"""
    SELECT row_to_json(r)::text, r.version, r.agent_id
    FROM (SELECT {_CONTACT} FROM contacts k WHERE k.id = %(id)s AND {_MAY_SEE}) r"""

_ACTIVITIES = f"""
    SELECT {columns_of(ActivityRead, "y")} FROM contact_activities y
    WHERE y.contact_id = %(contact_id)s AND y.id < %(before)s"""


class Found(NamedTuple):
    """A contact as JSON with its version; and whose it is, which may change without the version."""

    json: Versioned
    agent_id: UUID | None


def list_contacts(
    session: Session,
    caller: Principal,
    campaign_id: UUID,
    paging: PageRequest,
    *,
    status: ContactStatus | None,
    agent_id: UUID | Literal["none"] | None,
    upload_id: UUID | None,
    q: str | None,
) -> bytes:
    """A page of a campaign's contacts, of which an agent sees their own; 404 when there is none the caller may see."""
    whose = {"nobodys": True} if agent_id == "none" else {"agent_id": agent_id}
    asked = {"status": status, **whose, "upload_id": upload_id}
    given: dict[str, object] = {name: value for name, value in asked.items() if value is not None}
    conditions = " AND ".join(["", "k.id < %(before)s", *(_FILTERS[name] for name in given)])
    if q is not None:
        search, words = _search(q)
        conditions += f" AND ({search})"
        given |= words
    # One of both halves is not even begun. Each walks the index that it needs, and stops after a page.
    newest = f"{conditions} ORDER BY k.id DESC LIMIT %(limit)s + 1"
    sql = f"({_ALL}{newest}) UNION ALL ({_OWN}{newest})"
    params = {**given, "campaign_id": campaign_id, **rights(caller)}
    return page(session, sql, params, paging, visible=there_is("%(campaign_id)s", visible("c")))


def _search(q: str) -> tuple[str, dict[str, str]]:
    """SQL of a search, and its parameters: words, of which the last may be a beginning, a number, or a domain."""
    ways, params = ["k.search @@ words_sought(%(q)s)"], {"q": q}
    if (last := _LAST_WORD.fullmatch(q)) and not _LEFT_OUT.search(last[1]):
        ways.append("k.search @@ (words_sought(%(first)s) && %(last)s::tsquery)")
        params |= {"first": last[1], "last": f"'{last[2].lower()}':*"}
    if _NUMBER.fullmatch(q) and len(digits := re.sub(r"\D", "", q).lstrip("0")) >= _FEWEST_DIGITS:
        ways.append("k.phone LIKE '%%' || %(digits)s")
        params["digits"] = digits
    if domain := _DOMAIN.fullmatch(q.lower()):
        ways.append("k.email LIKE '%%@' || %(domain)s")
        params["domain"] = domain[1]
    return " OR ".join(ways), params


def read_contact(session: Session, caller: Principal, contact_id: UUID) -> Found:
    """One contact; 404 when there is none that the caller may see."""
    found = rows(session, _ONE, {"id": contact_id, **rights(caller)})
    if not found:
        raise NotFound
    [(body, version, agent_id)] = found
    return Found(Versioned(body.encode(), version), agent_id)


def list_activities(session: Session, caller: Principal, contact_id: UUID, paging: PageRequest) -> bytes:
    """A page of what was done about a contact; 404 when there is none that the caller may see."""
    params = {"contact_id": contact_id, **rights(caller)}
    seen = f"EXISTS (SELECT FROM contacts k WHERE k.id = %(contact_id)s AND {_MAY_SEE})"
    return page(session, _ACTIVITIES, params, paging, visible=seen)
