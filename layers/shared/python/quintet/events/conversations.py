"""Leaving conversations: as a member, or because the account is removed for good."""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, exists, func, select, update
from sqlalchemy.orm import Session

from quintet.db.models.accounts import User
from quintet.db.models.conversations import Conversation, ConversationMember, Message
from quintet.events.record import record, scope_of
from quintet.events.types import EventType


def first_member(conversation_id: UUID) -> Select[UUID]:
    """Who acts for a group: its owner while their account is active, else the active member who joined first."""
    return (
        select(ConversationMember.user_id)
        .join(User, User.id == ConversationMember.user_id)
        .where(ConversationMember.conversation_id == conversation_id)
        .order_by(
            (User.status == "active").desc(),
            (ConversationMember.role == "owner").desc(),
            ConversationMember.joined_at,
            ConversationMember.user_id,
        )
        .limit(1)
    )


def leave(session: Session, conversation: Conversation, user_id: UUID) -> bool:
    """Take a member off a group, which is to be locked; whether they were one.

    Who acts for it then owns it; when nobody is left it is removed.
    """
    at = ConversationMember.conversation_id == conversation.id
    removed = session.scalar(
        delete(ConversationMember).where(at, ConversationMember.user_id == user_id).returning(ConversationMember.role)
    )
    if removed is None:
        return False
    data: dict[str, Any] = {"user_id": str(user_id)}
    if removed == "owner":
        heir = session.scalar(
            update(ConversationMember)
            .where(at, ConversationMember.user_id == first_member(conversation.id).scalar_subquery())
            .values(role="owner")
            .returning(ConversationMember.user_id)
        )
        if heir:
            data["owner_id"] = str(heir)
    conversation.touch()
    # Who is gone can read nothing of the conversation any more, this neither.
    for scope, told in (
        (scope_of("conversation", conversation.id), data),
        (scope_of("user", user_id), {"user_id": str(user_id)}),
    ):
        record(session, EventType.CONVERSATION_MEMBER_REMOVED, subject=conversation.id, scope=scope, data=told)
    if removed == "owner" and "owner_id" not in data:
        mark_removed(session, conversation)
    return True


def leave_groups(session: Session, user_id: UUID) -> None:
    """Take an account out of its groups, each of which its owner hands on."""
    for conversation in _of(session, user_id):
        if conversation.is_group:
            leave(session, conversation, user_id)
    session.flush()


def leave_all(session: Session, user_id: UUID) -> None:
    """Take an account out of its groups, and remove direct conversations in which it said nothing.

    Anybody can begin one, or put an account into a group: that is not to keep it from being removed.
    """
    for conversation in _of(session, user_id):
        if conversation.is_group:
            leave(session, conversation, user_id)
        elif not session.scalar(
            select(exists().where(Message.conversation_id == conversation.id, Message.sender_id == user_id))
        ):
            _remove(session, conversation)
    session.flush()


def mark_removed(session: Session, conversation: Conversation) -> None:
    """Nobody takes part any more; `maintenance` deletes what was said, of which there may be much."""
    conversation.removed_at = func.now()
    conversation.touch()
    scope = scope_of("conversation", conversation.id)
    record(session, EventType.CONVERSATION_REMOVED, subject=conversation.id, scope=scope)


def tell_removed(session: Session, conversation_id: UUID, members: Iterable[UUID]) -> None:
    """Record it for each who took part: they can read nothing of the conversation any more, this neither."""
    for user_id in members:
        record(session, EventType.CONVERSATION_REMOVED, subject=conversation_id, scope=scope_of("user", user_id))


def _of(session: Session, user_id: UUID) -> Sequence[Conversation]:
    """The conversations that an account takes part in, locked."""
    return session.scalars(
        select(Conversation)
        .join(ConversationMember, ConversationMember.conversation_id == Conversation.id)
        .where(ConversationMember.user_id == user_id)
        .order_by(Conversation.id)
        .with_for_update(key_share=True, of=Conversation)
    ).all()


def _remove(session: Session, conversation: Conversation) -> None:
    members = session.scalars(
        delete(ConversationMember)
        .where(ConversationMember.conversation_id == conversation.id)
        .returning(ConversationMember.user_id)
    ).all()
    tell_removed(session, conversation.id, members)
    session.delete(conversation)
