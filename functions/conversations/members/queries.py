"""The SQL of members."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from functions.conversations.conversations.queries import UNREAD
from functions.conversations.members.schemas import ConversationMemberRead
from quintet.db.json import columns_of, page
from quintet.db.reads import rows
from quintet.identity.conversations import is_member
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_MEMBERS = f"""
    SELECT {columns_of(ConversationMemberRead, "m", id="m.user_id", full_name="u.full_name")}
    FROM conversation_members m JOIN users u ON u.id = m.user_id
    WHERE m.conversation_id = %(conversation_id)s AND m.user_id < %(before)s"""

_MOVE = """
    UPDATE conversation_members SET last_read_message_id = %(message_id)s
    WHERE conversation_id = %(conversation_id)s AND user_id = %(caller)s
      AND (last_read_message_id IS NULL OR last_read_message_id < %(message_id)s)
      AND EXISTS (SELECT FROM messages WHERE id = %(message_id)s AND conversation_id = %(conversation_id)s)
    RETURNING true"""
_POSITION = f"""
    SELECT c.last_read_message_id, {UNREAD} AS unread_count,
           EXISTS (SELECT FROM messages WHERE id = %(message_id)s AND conversation_id = c.id) AS there
    FROM (SELECT conversation_id AS id, last_read_message_id FROM conversation_members
          WHERE conversation_id = %(conversation_id)s AND user_id = %(caller)s) c"""


def list_members(session: Session, caller: Principal, conversation_id: UUID, paging: PageRequest) -> bytes:
    """A page of who takes part; 404 when the caller does not."""
    params = {"conversation_id": conversation_id, "caller": caller.user_id}
    return page(session, _MEMBERS, params, paging, visible=is_member("%(conversation_id)s"))


def move_position(session: Session, caller: Principal, *, conversation_id: UUID, message_id: UUID) -> bool:
    """Move the caller's position forwards to a message of the conversation; whether that was forwards."""
    params = {"conversation_id": conversation_id, "message_id": message_id, "caller": caller.user_id}
    return bool(rows(session, _MOVE, params))


def position(session: Session, caller: Principal, *, conversation_id: UUID, message_id: UUID) -> Any | None:
    """Where the caller is, what comes after, and whether there is the message; None when they take no part."""
    params = {"conversation_id": conversation_id, "message_id": message_id, "caller": caller.user_id}
    return next(iter(rows(session, _POSITION, params)), None)
