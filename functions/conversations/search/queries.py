"""The SQL of searches.

The words are no column, so that the planner knows how frequent they are: rare ones it looks up in their index, frequent
ones it rather looks for in the caller's conversations. Of very many messages with them the newest are ranked.
"""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.conversations.search.schemas import MessageFound
from quintet.db.reads import rows
from quintet.errors import BadRequest, NotFound
from quintet.highlights import highlight
from quintet.http.schemas import Page
from quintet.identity.conversations import is_member
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest, decode_rank, encode_rank

RANKED = 1_000

_WORDS = "words_sought(%(q)s)"

# The newest by their time, which has no index: that on the id would be walked past what everybody says.
_SEARCH = f"""
    WITH page AS MATERIALIZED (
        SELECT id, rank FROM (
            SELECT m.id, ts_rank_cd(m.search, {_WORDS}) AS rank FROM (
                SELECT m.id, m.search FROM messages m
                WHERE {{where}} AND m.search @@ {_WORDS} AND m.deleted_at IS NULL AND querytree({_WORDS}) <> 'T'
                ORDER BY m.created_at DESC LIMIT {RANKED}) m) found
        WHERE (rank, id) < (%(rank)s::float4, %(id)s)
        ORDER BY rank DESC, id DESC LIMIT %(limit)s + 1
    )
    SELECT v.excludes, p.rank, m.id, m.conversation_id, m.sender_id, u.full_name AS sender_name, m.text, m.created_at
    FROM (SELECT querytree({_WORDS}) = 'T' AS excludes WHERE {{visible}}) v
    LEFT JOIN (page p JOIN messages m ON m.id = p.id JOIN users u ON u.id = m.sender_id) ON true
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
    rank, id = decode_rank(paging.cursor)
    params = {
        "q": q,
        "caller": caller.user_id,
        "conversation_id": conversation_id,
        "rank": rank,
        "id": id,
        "limit": paging.limit,
    }
    found = rows(session, search_sql(everywhere=conversation_id is None), params)
    if not found:
        raise NotFound
    if found[0].excludes:
        raise BadRequest.at("query/q", "Send a word that is to be there; by what is not there alone nothing is found.")
    kept = [row for row in found[: paging.limit] if row.id is not None]  # one row of nulls is an empty page
    items = [MessageFound(**row._asdict(), highlight=highlight(row.text, q)) for row in kept]
    following = encode_rank(kept[-1].rank, kept[-1].id) if len(found) > paging.limit else None
    return Page[MessageFound](items=items, next_cursor=following).model_dump_json().encode()
