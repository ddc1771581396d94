"""The SQL of the assistant's conversations. Each is its owner's, and does not exist for anybody else."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.ai.schemas import ChatMessageRead, ChatRead
from quintet.db.json import columns_of, page
from quintet.db.reads import rows
from quintet.errors import NotFound
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

MAX_MESSAGES = 500

_RUNNING = """EXISTS (
    SELECT FROM ai_messages m WHERE m.conversation_id = c.id AND m.status = 'running' AND m.lease_until > now())"""
_COLUMNS = columns_of(ChatRead, "c", running=_RUNNING)
_MINE = f"SELECT {_COLUMNS} FROM ai_conversations c WHERE c.user_id = %(caller)s"

# The runs of one answer are one message; the present one is what the stream gives.
_MESSAGES = f"""
    SELECT {columns_of(ChatMessageRead, "m", id="m.message_id")} FROM (
        SELECT (array_agg(id ORDER BY id))[1] AS id, message_id, role, min(created_at) AS created_at,
               (array_agg(status ORDER BY id DESC))[1] AS status,
               jsonb_path_query_array(jsonb_agg(content ORDER BY id), '$[*][*]') AS parts
        FROM (SELECT * FROM ai_messages WHERE conversation_id = c.id AND status <> 'running'
              ORDER BY conversation_id DESC, id DESC LIMIT {MAX_MESSAGES}) latest
        GROUP BY message_id, role) m
    ORDER BY m.id"""
_ONE = f"""
    SELECT row_to_json(r)::text AS body FROM (
        SELECT {_COLUMNS}, coalesce((SELECT json_agg(m) FROM ({_MESSAGES}) m), '[]') AS messages
        FROM ai_conversations c WHERE c.user_id = %(caller)s AND c.chat_id = %(chat_id)s) r"""

_PRESENT = """
    SELECT m.id FROM ai_conversations c JOIN ai_messages m ON m.conversation_id = c.id AND m.status = 'running'
    WHERE c.user_id = %(caller)s AND c.chat_id = %(chat_id)s"""


def list_chats(session: Session, caller: Principal, paging: PageRequest) -> bytes:
    """A page of the caller's conversations."""
    return page(session, f"{_MINE} AND c.id < %(before)s", {"caller": caller.user_id}, paging)


def read_chat(session: Session, caller: Principal, chat_id: str) -> bytes:
    """One of the caller's conversations, with what was said; 404 when there is none of this id."""
    found = rows(session, _ONE, {"caller": caller.user_id, "chat_id": chat_id})
    if not found:
        raise NotFound
    body: str = found[0].body
    return body.encode()


def running(session: Session, caller: Principal, chat_id: str) -> UUID | None:
    """The answer that is under way; None when there is none, or no such conversation."""
    found = rows(session, _PRESENT, {"caller": caller.user_id, "chat_id": chat_id})
    id: UUID | None = found[0].id if found else None
    return id
