"""The SQL of searches.

The words are no column, so that the planner knows how frequent they are: rare ones it looks up in their index, frequent
ones it rather looks for in the caller's conversations. Of very many messages with them the newest are ranked, and only
those of the page highlighted.
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
_WORDS = "websearch_to_tsquery('simple', %(q)s::text)"
_HEADLINE = f"ts_headline('simple', translate(m.text, '\ue000\ue001', ''), {_WORDS}, %(options)s)"


def _replaced(expression: str, pairs: dict[str, str]) -> str:
    for old, new in pairs.items():
        expression = f"replace({expression}, '{old}', '{new}')"
    return expression


_HIGHLIGHT = _replaced(
    _HEADLINE,
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "''": "&#39;", "\ue000": "<mark>", "\ue001": "</mark>"},
)

# The newest by their time, which has no index: that on the id would be walked past what everybody says.
_SEARCH = f"""
    WITH found AS MATERIALIZED (
        SELECT m.id, ts_rank_cd(m.search, {_WORDS}) AS rank FROM (
            SELECT m.id, m.search FROM messages m WHERE {{where}} AND m.search @@ {_WORDS}
            ORDER BY m.created_at DESC LIMIT {RANKED}) m
    ), page AS MATERIALIZED (
        SELECT id, rank FROM found
        WHERE %(cursor)s::uuid IS NULL OR (rank, id) < (
            SELECT ts_rank_cd(m.search, {_WORDS}), m.id FROM messages m
            WHERE m.id = %(cursor)s AND {is_member("m.conversation_id")})
        ORDER BY rank DESC, id DESC LIMIT %(limit)s + 1
    )
    SELECT hit.item, p.id FROM (SELECT WHERE {{visible}}) v LEFT JOIN page p ON true LEFT JOIN LATERAL (
        SELECT row_to_json(r)::text AS item FROM (
            SELECT {columns_of(MessageFound, "m", sender_name="u.full_name", highlight=_HIGHLIGHT)}
            FROM messages m JOIN users u ON u.id = m.sender_id WHERE m.id = p.id) r) hit ON true
    ORDER BY p.rank DESC, p.id DESC"""


_EVERYWHERE = """m.conversation_id = ANY (ARRAY(
    SELECT conversation_id FROM conversation_members WHERE user_id = %(caller)s))"""
_IN_ONE = f"m.conversation_id = %(conversation_id)s AND {is_member('%(conversation_id)s')}"


def search_sql(*, everywhere: bool) -> str:
    """The statement, for all the caller's conversations or the one that is named."""
    if everywhere:
        return _SEARCH.format(where=_EVERYWHERE, visible="true")
    return _SEARCH.format(where=_IN_ONE, visible=is_member("%(conversation_id)s"))


def search_messages(
    session: Session, caller: Principal, paging: PageRequest, *, q: str, conversation_id: UUID | None
) -> bytes:
    """A page of messages that have these words, the best first; 404 for a conversation the caller takes no part in."""
    params = {
        "q": q,
        "caller": caller.user_id,
        "conversation_id": conversation_id,
        "cursor": paging.before if paging.cursor else None,
        "limit": paging.limit,
        "options": OPTIONS,
    }
    found = rows(session, search_sql(everywhere=conversation_id is None), params)
    if not found:
        raise NotFound
    kept = [row for row in found[: paging.limit] if row.id is not None]  # one row of nulls is an empty page
    following = encode_cursor(kept[-1].id) if len(found) > paging.limit else None
    return page_bytes(",".join(row.item for row in kept), following)
