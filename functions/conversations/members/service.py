"""The rules of members. A group always has one owner; nobody's rows outlast their taking part."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from functions.conversations.access import locked_conversation, require_group, require_owned_group
from functions.conversations.conversations.schemas import MAX_MEMBERS
from functions.conversations.conversations.service import record_of, require_accounts
from functions.conversations.members import queries
from functions.conversations.members.schemas import ReadPosition
from quintet.db.models.conversations import ConversationMember
from quintet.errors import BadRequest, Conflict, NotFound
from quintet.events.conversations import leave
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.principal import Principal


class Added(NamedTuple):
    """Accounts by whether the request added them or they took part before."""

    added: list[UUID]
    already_members: list[UUID]


def add_members(session: Session, caller: Principal, *, conversation_id: UUID, users: dict[UUID, str]) -> Added:
    """Let accounts take part in a group; for its owner. Repeatable. `users`: where in the request each is.

    They read what was said before, of which nothing counts as unread.
    """
    conversation, role = locked_conversation(session, caller, conversation_id)
    require_owned_group(session, caller, conversation, role)
    require_accounts(session, users)
    new = [
        {"conversation_id": conversation_id, "user_id": id, "last_read_message_id": conversation.last_message_id}
        for id in users
    ]
    statement = insert(ConversationMember).values(new).on_conflict_do_nothing()
    added = set(session.scalars(statement.returning(ConversationMember.user_id)))
    here = select(func.count()).where(ConversationMember.conversation_id == conversation_id)
    if added and session.scalars(here).one() > MAX_MEMBERS:
        raise Conflict(f"A group has {MAX_MEMBERS} members at most.")
    came = Added([id for id in users if id in added], [id for id in users if id not in added])
    if added:
        conversation.touch()
    for user_id in came.added:
        record_of(session, EventType.CONVERSATION_MEMBER_ADDED, conversation_id, user_id=str(user_id))
    return came


def remove_member(session: Session, caller: Principal, *, conversation_id: UUID, user_id: UUID) -> None:
    """Leave a group, or take somebody off it as its owner. When the owner leaves, who acts for it then takes over."""
    conversation, role = locked_conversation(session, caller, conversation_id)
    require_group(conversation)
    if user_id != caller.user_id:
        require_owned_group(session, caller, conversation, role)
    if not leave(session, conversation, user_id):
        raise NotFound("This account takes no part in the conversation.")


def set_read(session: Session, caller: Principal, *, conversation_id: UUID, message_id: UUID) -> ReadPosition:
    """Say up to where the caller has read; what is further back than they were changes nothing. Repeatable."""
    moved = queries.move_position(session, caller, conversation_id=conversation_id, message_id=message_id)
    now = queries.position(session, caller, conversation_id=conversation_id, message_id=message_id)
    if now is None:
        raise NotFound
    if not now.there:
        raise BadRequest.at("/message_id", "There is no message with this id in the conversation.")
    if moved:
        scope = scope_of("conversation", conversation_id)
        data = {"conversation_id": str(conversation_id), "user_id": str(caller.user_id)}
        record(session, EventType.MESSAGE_READ, subject=message_id, scope=scope, data=data)
    return ReadPosition(last_read_message_id=now.last_read_message_id, unread_count=now.unread_count)
