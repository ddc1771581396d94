"""Who may change what in a conversation. To those who take no part in it, it does not exist."""

from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from quintet.db.models.conversations import Conversation, ConversationMember, ConversationRole, Message
from quintet.errors import Conflict, Forbidden, NotFound, TooManyRequests
from quintet.events.conversations import first_member
from quintet.http.dependencies import Caller, SessionDep, rate_limit
from quintet.http.idempotency import idempotent
from quintet.identity.principal import Principal


def takes_part(caller: Principal, conversation_id: UUID | InstrumentedAttribute[UUID]) -> ColumnElement[bool]:
    """That the caller is a member. As part of what locks: a stranger who waits would learn that there is something."""
    return exists().where(
        ConversationMember.conversation_id == conversation_id, ConversationMember.user_id == caller.user_id
    )


def locked_conversation(
    session: Session, caller: Principal, conversation_id: UUID
) -> tuple[Conversation, ConversationRole]:
    """The conversation, locked, and what the caller is in it; 404 when they take no part.

    Two statements: the second sees what was committed while the first waited, as a removal of the caller.
    """
    conversation = session.scalar(
        select(Conversation)
        .where(Conversation.id == conversation_id, takes_part(caller, conversation_id))
        .with_for_update(key_share=True)
    )
    if conversation is None:
        raise NotFound
    return conversation, _role(session, caller, conversation_id)


def locked_message(session: Session, caller: Principal, message_id: UUID, *, share: bool = False) -> Message:
    """The message, locked against changes, or `share`d with others who change what is beside it; 404 for strangers.

    The caller stays a member until the commit: who is being removed waits here, and is told that they are.
    """
    message = session.scalar(
        select(Message)
        .where(Message.id == message_id, takes_part(caller, Message.conversation_id))
        .with_for_update(read=share, key_share=not share)
    )
    if message is None:
        raise NotFound
    _role(session, caller, message.conversation_id, held=True)
    return message


def _role(session: Session, caller: Principal, conversation_id: UUID, *, held: bool = False) -> ConversationRole:
    me = select(ConversationMember.role).where(
        ConversationMember.conversation_id == conversation_id, ConversationMember.user_id == caller.user_id
    )
    role: ConversationRole | None = session.scalar(me.with_for_update(read=True, key_share=True) if held else me)
    if role is None:
        raise NotFound
    return role


def require_owned_group(
    session: Session, caller: Principal, conversation: Conversation, role: ConversationRole
) -> None:
    """409 for a direct conversation, which stays as it is; 403 unless the caller owns the group, or acts for it."""
    require_group(conversation)
    if role != "owner" and session.scalar(first_member(conversation.id)) != caller.user_id:
        raise Forbidden("This is for the group's owner.")


def require_group(conversation: Conversation) -> None:
    """409 for a direct conversation."""
    if not conversation.is_group:
        raise Conflict(
            "A direct conversation is between its two members for good. Start a group instead.",
            next={"rel": "start-group", "href": "/conversations"},
        )


async def limit(request: Request, session: Session, caller: Principal, name: str) -> None:
    """Count one attempt at `name`; 429 when it is one too many, unless it repeats what was answered already.

    The count is committed, so this comes before `Idempotent`, whose claim is to be committed with the change only.
    """
    try:
        rate_limit(request, session, name, account=str(caller.user_id))
    except TooManyRequests:
        await idempotent(request, session, caller, request.headers.get("idempotency-key"))
        raise


async def _limit_messages(request: Request, session: SessionDep, caller: Caller) -> None:
    await limit(request, session, caller, "message")


async def _limit_reactions(request: Request, session: SessionDep, caller: Caller) -> None:
    await limit(request, session, caller, "reaction")


MessageLimit = Depends(_limit_messages)
ReactionLimit = Depends(_limit_reactions)
