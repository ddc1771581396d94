"""The SQL of searches.

The index finds the words within the caller's conversations, so what others say costs nothing. Of very many messages
with them the newest are ranked; only those of the page are highlighted.
"""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.conversations.search.schemas import MessageFound
from quintet.db.json import columns_of
from quintet.db.reads import rows
from quintet.errors import NotFound
from quintet.identity.conversations import is_member
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest, encode_cursor, page_bytes

RANKED = 1_000

# Private characters mark what is found; people's own are taken out, and what they wrote is escaped before the marks
# become markup.
OPTIONS = (
    "StartSel=\ue000, StopSel=\ue001, MaxFragments=2, MaxWords=30, MinWords=10, ShortWord=0, FragmentDelimiter= … "
)
_HEADLINE = "ts_headline('simple', translate(m.text, '\ue000\ue001', ''), q.query, %(options)s)"


def _replaced(expression: str, pairs: dict[str, str]) -> str:
    for old, new in pairs.items():
        expression = f"replace({expression}, '{old}', '{new}')"
    return expression


_HIGHLIGHT = _replaced(
    _HEADLINE,
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "''": "&#39;", "\ue000": "<mark>", "\ue001": "</mark>"},
)

_MATCHING = """
    SELECT m.id, m.search FROM messages m, q
    WHERE m.conversation_id = ANY (ARRAY(
        SELECT conversation_id FROM conversation_members
        WHERE user_id = %(caller)s AND (%(conversation_id)s::uuid IS NULL OR conversation_id = %(conversation_id)s)))
      AND m.search @@ q.query"""

SEARCH = f"""
    WITH q AS (SELECT websearch_to_tsquery('simple', %(q)s) AS query),
    found AS MATERIALIZED (
        SELECT m.id, ts_rank_cd(m.search, q.query) AS rank
        FROM ({_MATCHING} ORDER BY m.id DESC LIMIT {RANKED}) m, q
    ), page AS MATERIALIZED (
        SELECT id, rank FROM found
        WHERE %(cursor)s::uuid IS NULL OR (rank, id) < (
            SELECT ts_rank_cd(m.search, q.query), m.id FROM ({_MATCHING} AND m.id = %(cursor)s) m, q)
        ORDER BY rank DESC, id DESC LIMIT %(limit)s + 1
    )
    SELECT row_to_json(r)::text AS item, r.id FROM (SELECT WHERE {{visible}}) v LEFT JOIN (
        SELECT p.rank, {columns_of(MessageFound, "m", sender_name="u.full_name", highlight=_HIGHLIGHT)}
        FROM page p JOIN messages m ON m.id = p.id JOIN users u ON u.id = m.sender_id, q) r ON true
    ORDER BY r.rank DESC, r.id DESC"""


def search_messages(
    session: Session, caller: Principal, paging: PageRequest, *, q: str, conversation_id: UUID | None
) -> bytes:
    """A page of messages that have these words, the best first; 404 for a conversation the caller takes no part in."""
    visible = is_member("%(conversation_id)s") if conversation_id else "true"
    params = {
        "q": q,
        "caller": caller.user_id,
        "conversation_id": conversation_id,
        "cursor": paging.before if paging.cursor else None,
        "limit": paging.limit,
        "options": OPTIONS,
    }
    found = rows(session, SEARCH.format(visible=visible), params)
    if not found:
        raise NotFound
    kept = [row for row in found[: paging.limit] if row.id is not None]  # one row of nulls is an empty page
    following = encode_cursor(kept[-1].id) if len(found) > paging.limit else None
    return page_bytes(",".join(row.item for row in kept), following)
