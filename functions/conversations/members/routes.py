"""HTTP of members."""

from uuid import UUID

from starlette.responses import Response

from functions.conversations.members import queries, service
from functions.conversations.members.schemas import (
    ConversationMemberRead,
    MembersAdd,
    MembersAdded,
    ReadPosition,
    ReadSet,
)
from quintet.http.answers import changed, listed
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/conversations/{conversation_id}", tags=["conversations"])


@router.get("/members", response_model=Page[ConversationMemberRead])
async def list_conversation_members(
    session: SessionDep, caller: Caller, conversation_id: UUID, paging: Paging
) -> Response:
    """List who takes part in a conversation, and how far each has read."""
    return listed(queries.list_members(session, caller, conversation_id, paging))


@router.post("/members", response_model=MembersAdded, responses=responses(403, 409))
async def add_conversation_members(
    session: SessionDep, caller: Caller, conversation_id: UUID, members: MembersAdd
) -> Response:
    """Add members to a group, and say who was one before; for its owner. May be repeated.

    They read all that was said before.
    """
    came = service.add_members(session, caller, conversation_id=conversation_id, users=members.named())
    return changed(MembersAdded.model_validate(came))


@router.delete("/members/{user_id}", status_code=204, responses=responses(403, 409))
async def remove_conversation_member(
    session: SessionDep, caller: Caller, conversation_id: UUID, user_id: UUID
) -> Response:
    """Leave a group, or take a member off it as its owner.

    When the owner leaves, the active member who joined first owns it; when the last one leaves, it is removed.
    """
    service.remove_member(session, caller, conversation_id=conversation_id, user_id=user_id)
    return Response(status_code=204)


@router.put("/read", response_model=ReadPosition)
async def set_read_position(session: SessionDep, caller: Caller, conversation_id: UUID, read: ReadSet) -> Response:
    """Say up to which message the caller has read. It only moves forwards, and may be repeated."""
    return changed(service.set_read(session, caller, conversation_id=conversation_id, message_id=read.message_id))
