"""Who may change what in a conversation. To those who take no part in it, it does not exist."""

from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from quintet.db.models.conversations import Conversation, ConversationMember, ConversationRole
from quintet.errors import Conflict, Forbidden, NotFound
from quintet.http.dependencies import Caller, SessionDep, rate_limit
from quintet.identity.principal import Principal


def locked_conversation(
    session: Session, caller: Principal, conversation_id: UUID
) -> tuple[Conversation, ConversationRole]:
    """The conversation, locked, and what the caller is in it; 404 when they take no part.

    Two statements: the second sees what was committed while the first waited, as a removal of the caller.
    """
    conversation = session.get(Conversation, conversation_id, with_for_update={"key_share": True})
    role = session.scalar(
        select(ConversationMember.role).where(
            ConversationMember.conversation_id == conversation_id, ConversationMember.user_id == caller.user_id
        )
    )
    if conversation is None or role is None:
        raise NotFound
    return conversation, role


def require_owned_group(conversation: Conversation, role: ConversationRole) -> None:
    """409 for a direct conversation, which stays as it is; 403 unless the caller owns the group."""
    require_group(conversation)
    if role != "owner":
        raise Forbidden("This is for the group's owner.")


def require_group(conversation: Conversation) -> None:
    """409 for a direct conversation."""
    if not conversation.is_group:
        raise Conflict(
            "A direct conversation is between its two members for good. Start a group instead.",
            next={"rel": "start-group", "href": "/conversations"},
        )


async def _limit_conversations(request: Request, session: SessionDep, caller: Caller) -> None:
    rate_limit(request, session, "conversation", account=str(caller.user_id))


async def _limit_messages(request: Request, session: SessionDep, caller: Caller) -> None:
    rate_limit(request, session, "message", account=str(caller.user_id))


async def _limit_reactions(request: Request, session: SessionDep, caller: Caller) -> None:
    rate_limit(request, session, "reaction", account=str(caller.user_id))


# They commit their count, so they stand before `Idempotent`, whose claim is to be committed with the change only.
ConversationLimit = Depends(_limit_conversations)
MessageLimit = Depends(_limit_messages)
ReactionLimit = Depends(_limit_reactions)
