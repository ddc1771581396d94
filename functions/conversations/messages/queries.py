"""The SQL of messages."""

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy.orm import Session

from functions.conversations.conversations.queries import FIRST, LAST
from functions.conversations.messages.schemas import MessageRead
from quintet.db.json import Versioned, columns_of
from quintet.db.reads import rows
from quintet.errors import BadRequest, NotFound
from quintet.identity.conversations import is_member
from quintet.identity.principal import Principal
from quintet.pagination import PAGE_BYTES, PageRequest, decode_cursor, encode_cursor

_COLUMNS = columns_of(
    MessageRead,
    "m",
    sender_name="u.full_name",
    attachments="""coalesce((
        SELECT json_agg(json_build_object('id', f.id, 'file_name', f.file_name,
            'content_type', coalesce(f.detected_type, f.content_type), 'size', f.size) ORDER BY a.position)
        FROM attachments a JOIN files f ON f.id = a.file_id
        WHERE a.message_id = m.id AND f.project_id IS NULL), '[]')""",
    mentions="""coalesce((
        SELECT json_agg(user_id ORDER BY user_id) FROM message_mentions
        WHERE message_id = m.id AND current), '[]')""",
    reactions="""coalesce((
        SELECT json_agg(json_build_object('emoji', emoji, 'count', n, 'mine', mine) ORDER BY first, emoji)
        FROM (SELECT emoji, count(*) AS n, bool_or(user_id = %(caller)s) AS mine, min(created_at) AS first
              FROM message_reactions WHERE message_id = m.id GROUP BY emoji) r), '[]')""",
)

# What is beside a page's messages is looked for once they are found.
_PAGE = f"""
    WITH found AS MATERIALIZED (
        SELECT row_to_json(r)::text AS item, r.id FROM (
            SELECT {_COLUMNS} FROM (
                SELECT * FROM messages
                WHERE (conversation_id, id) {{beyond}} (%(conversation_id)s, %(from)s)
                  AND (conversation_id, id) {{within}} (%(conversation_id)s, {{end}})
                ORDER BY conversation_id {{order}}, id {{order}} LIMIT %(limit)s + 1) m
            JOIN users u ON u.id = m.sender_id) r)
    SELECT p.* FROM (SELECT WHERE {is_member("%(conversation_id)s")}) v LEFT JOIN (
        SELECT item, id, count(*) OVER () AS found,
               sum(octet_length(item)) OVER (ORDER BY id {{order}}) - octet_length(item) AS bytes_before
        FROM found) p ON p.bytes_before < {PAGE_BYTES}
    ORDER BY p.id {{order}}"""
OLDER = _PAGE.format(beyond="<", within=">=", end=FIRST, order="DESC")
NEWER = _PAGE.format(beyond=">", within="<=", end=LAST, order="ASC")

_ONE = f"""
    SELECT row_to_json(r)::text, r.version, left(md5(concat_ws(
        ' ', r.sender_name, r.attachments, r.reactions)), 16)
    FROM (SELECT {_COLUMNS} FROM messages m JOIN users u ON u.id = m.sender_id
          WHERE m.id = %(id)s AND {is_member("m.conversation_id")}) r"""

_REFERRED_TO = """
    SELECT %(reply_to_id)s::uuid IS NULL OR EXISTS (
               SELECT FROM messages WHERE id = %(reply_to_id)s AND conversation_id = %(conversation_id)s) AS reply,
           ARRAY(SELECT id FROM files WHERE id = ANY(%(files)s) AND owner_id = %(caller)s AND project_id IS NULL
               AND purpose = 'attachment' AND status = 'ready') AS files,
           (SELECT coalesce(json_object_agg(u.id, u.full_name), '{}') FROM users u
            WHERE u.id = ANY(%(mentions)s) AND (
                EXISTS (SELECT FROM conversation_members m
                        WHERE m.conversation_id = %(conversation_id)s AND m.user_id = u.id)
                OR EXISTS (SELECT FROM message_mentions m
                           WHERE m.message_id = %(message_id)s AND m.user_id = u.id AND m.current))) AS names"""

# The time of the message, which waited for its turn, and not that of the transaction.
_INSERT = """
    WITH message AS (
        INSERT INTO messages (conversation_id, sender_id, content, text, reply_to_id, created_at, updated_at)
        SELECT %(conversation_id)s, %(caller)s, %(content)s, %(text)s, %(reply_to_id)s, at, at
        FROM clock_timestamp() at RETURNING id
    ), attached AS (
        INSERT INTO attachments (message_id, file_id, position)
        SELECT message.id, f.id, f.n FROM message, unnest(%(files)s::uuid[]) WITH ORDINALITY AS f(id, n)
    ), mentioned AS (
        INSERT INTO message_mentions (message_id, user_id)
        SELECT message.id, unnest(%(mentions)s::uuid[]) FROM message
    ), latest AS (
        UPDATE conversations c SET last_message_id = message.id FROM message WHERE c.id = %(conversation_id)s
    ), position AS (
        UPDATE conversation_members me SET last_read_message_id = message.id FROM message
        WHERE me.conversation_id = %(conversation_id)s AND me.user_id = %(caller)s
    )
    SELECT id FROM message"""

_MENTION = """
    WITH gone AS (
        UPDATE message_mentions SET current = false WHERE message_id = %(message_id)s AND user_id <> ALL(%(mentions)s)
    ), here AS (
        INSERT INTO message_mentions (message_id, user_id) SELECT %(message_id)s, unnest(%(mentions)s::uuid[])
        ON CONFLICT (message_id, user_id) DO UPDATE SET current = true
    )
    SELECT user_id FROM unnest(%(mentions)s::uuid[]) user_id
    WHERE user_id NOT IN (SELECT user_id FROM message_mentions WHERE message_id = %(message_id)s)"""


def list_messages(
    session: Session, caller: Principal, conversation_id: UUID, paging: PageRequest, *, after: str | None
) -> bytes:
    """A page of a conversation's messages, newest first; 404 when the caller takes no part.

    With `after` those that came next after this position: since they are made one after the other, none comes later
    before it.
    """
    if after is None:
        sql, start = OLDER, paging.before
    elif paging.cursor is None:
        sql, start = NEWER, decode_cursor(after, "after")
    else:
        raise BadRequest.at("query/after", "Send either `cursor` (older messages) or `after` (newer ones).")
    params = {"conversation_id": conversation_id, "caller": caller.user_id, "from": start, "limit": paging.limit}
    found = rows(session, sql, params)
    if not found:
        raise NotFound
    kept = [row for row in found[: paging.limit] if row.id is not None]  # one row of nulls is an empty page
    more = bool(kept) and kept[0].found > len(kept)
    if after is not None:
        kept.reverse()
    next_cursor = encode_cursor(kept[-1].id) if kept and (more or after is not None) else None
    previous_cursor = encode_cursor(kept[0].id) if kept else after
    items = ",".join(row.item for row in kept)
    return (
        f'{{"items":[{items}],"next_cursor":{_json(next_cursor)},"previous_cursor":{_json(previous_cursor)}}}'.encode()
    )


def read_message(session: Session, caller: Principal, message_id: UUID) -> tuple[Versioned, str]:
    """One message, and a word that changes with what is not in its row; 404 when the caller may not read it."""
    found = rows(session, _ONE, {"id": message_id, "caller": caller.user_id})
    if not found:
        raise NotFound
    [(body, version, variant)] = found
    return Versioned(body.encode(), version), variant


def referred_to(
    session: Session,
    caller: Principal,
    *,
    conversation_id: UUID,
    message_id: UUID | None,
    reply_to_id: UUID | None,
    files: list[UUID],
    mentions: list[UUID],
) -> Any:
    """What of this is there: `reply` (bool), `files` (ids the caller may attach), `names` by id.

    Those are of members, and of whom the message, when it is one that is edited, mentions already.
    """
    params = {
        "message_id": message_id,
        "conversation_id": conversation_id,
        "caller": caller.user_id,
        "reply_to_id": reply_to_id,
        "files": files,
        "mentions": mentions,
    }
    return rows(session, _REFERRED_TO, params)[0]


def insert_message(
    session: Session,
    caller: Principal,
    *,
    conversation_id: UUID,
    content: dict[str, Any],
    text: str,
    reply_to_id: UUID | None,
    files: list[UUID],
    mentions: list[UUID],
) -> UUID:
    """Add a message with all that belongs to it, and move the sender's position to it, in one statement; its id."""
    params = {
        "conversation_id": conversation_id,
        "caller": caller.user_id,
        "content": Jsonb(content),
        "text": text,
        "reply_to_id": reply_to_id,
        "files": files,
        "mentions": mentions,
    }
    [[message_id]] = rows(session, _INSERT, params)
    return message_id  # type: ignore[no-any-return]


def replace_mentions(session: Session, message_id: UUID, mentions: list[UUID]) -> list[UUID]:
    """Make these the message's mentions; those of them whom it never mentioned before."""
    found = rows(session, _MENTION, {"message_id": message_id, "mentions": mentions})
    return [row.user_id for row in found]


def _json(cursor: str | None) -> str:
    return f'"{cursor}"' if cursor else "null"
