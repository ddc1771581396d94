"""The SQL of conversations.

What is unread is counted when it is asked for, from the index and up to `MANY`: there is no counter that concurrent
senders, readers and deletions could each leave wrong, and no row of each member that every message would write. To
count costs what is unread, not what was ever said.

A caller's conversations are sorted by their last messages on the way, which takes a look at each of theirs: that grows
with how many they are in, not with the tables, and again spares every message a write for each member.
"""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.conversations.conversations.schemas import (
    MANY,
    PREVIEW,
    SHOWN_MEMBERS,
    ConversationRead,
    MemberShown,
    MessagePreview,
    Unread,
)
from quintet.db.json import Versioned, columns_of, page
from quintet.db.reads import rows
from quintet.errors import NotFound
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

FIRST, LAST = "'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"
"""SQL: before and after every id.

Conversation and id are compared as one, which only the index on both can do. By an equation and the id the planner may
rather walk all messages by id: past everybody's, when the conversation makes up much of the table.
"""

UNREAD = f"""(SELECT count(*) FROM (
    SELECT FROM messages x
    WHERE (x.conversation_id, x.id) > (c.id, coalesce(c.last_read_message_id, {FIRST}))
      AND (x.conversation_id, x.id) <= (c.id, {LAST}) AND x.sender_id <> %(caller)s AND x.deleted_at IS NULL
    ORDER BY x.conversation_id, x.id LIMIT {MANY}) unread)"""
"""SQL: how many messages of others the caller has not read of `c`, up to `MANY`."""

_MEMBERS = f"""(SELECT json_agg(m) FROM (
    SELECT {columns_of(MemberShown, "m", id="m.user_id", full_name="u.full_name")}
    FROM (SELECT * FROM conversation_members WHERE conversation_id = c.id
          ORDER BY joined_at, user_id LIMIT {SHOWN_MEMBERS}) m JOIN users u ON u.id = m.user_id
    ORDER BY m.joined_at, m.user_id) m)"""
_ATTACHED = """(
    SELECT count(*) FROM attachments a JOIN files f ON f.id = a.file_id
    WHERE a.message_id = m.id AND f.project_id IS NULL)"""
_LAST = f"""(SELECT row_to_json(m) FROM (
    SELECT {
    columns_of(
        MessagePreview, "m", sender_name="u.full_name", text=f"left(m.text, {PREVIEW})", attachment_count=_ATTACHED
    )
}
    FROM messages m JOIN users u ON u.id = m.sender_id WHERE m.id = c.last_message_id) m)"""
_COLUMNS = columns_of(
    ConversationRead,
    "c",
    members=_MEMBERS,
    member_count="(SELECT count(*) FROM conversation_members m WHERE m.conversation_id = c.id)",
    last_message=_LAST,
    unread_count=UNREAD,
)
_MINE = """
    SELECT c.*, me.last_read_message_id, coalesce(c.last_message_id, c.id) AS activity
    FROM conversation_members me JOIN conversations c ON c.id = me.conversation_id WHERE me.user_id = %(caller)s"""

_FILTERS = {
    "project_id": "c.project_id = %(project_id)s",
    "is_group": "c.is_group = %(is_group)s",
}
_ACTIVITY = "coalesce((r.last_message->>'id')::uuid, r.id)"


def list_conversations(
    session: Session, caller: Principal, paging: PageRequest, *, project_id: UUID | None, is_group: bool | None
) -> bytes:
    """A page of the caller's conversations, that with the latest message first."""
    asked = {"project_id": project_id, "is_group": is_group}
    given = {name: value for name, value in asked.items() if value is not None}
    conditions = [_MINE, *(_FILTERS[name] for name in given), "coalesce(c.last_message_id, c.id) < %(before)s"]
    newest = f"{' AND '.join(conditions)} ORDER BY activity DESC LIMIT %(limit)s + 1"
    sql = f"SELECT {_COLUMNS} FROM ({newest}) c"
    return page(session, sql, {**given, "caller": caller.user_id}, paging, key=_ACTIVITY)


def read_conversation(session: Session, caller: Principal, conversation_id: UUID) -> tuple[Versioned, str]:
    """One conversation, and a word that changes with what is not in its row; 404 when the caller takes no part."""
    statement = f"""
        SELECT row_to_json(r)::text, r.version, left(md5(concat_ws(
            ' ', r.project_id, r.last_message, r.members, r.last_read_message_id, r.unread_count)), 16)
        FROM (SELECT {_COLUMNS} FROM ({_MINE} AND c.id = %(id)s) c) r"""
    found = rows(session, statement, {"id": conversation_id, "caller": caller.user_id})
    if not found:
        raise NotFound
    [(body, version, variant)] = found
    return Versioned(body.encode(), version), variant


def read_unread(session: Session, caller: Principal) -> Unread:
    """What is unread in all the caller's conversations: one statement, `MANY` entries of an index for each at most."""
    statement = f"""
        SELECT count(*) AS conversations, coalesce(sum(n), 0)::int AS messages
        FROM (SELECT {UNREAD} AS n FROM ({_MINE}) c) counted WHERE n > 0"""
    [found] = rows(session, statement, {"caller": caller.user_id})
    return Unread.model_validate(found)
