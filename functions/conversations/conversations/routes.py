"""HTTP of conversations."""

from typing import Annotated, NamedTuple
from uuid import UUID

from fastapi import Depends, Request
from starlette.responses import Response

from functions.conversations.access import limit
from functions.conversations.conversations import queries, service
from functions.conversations.conversations.schemas import (
    ConversationCreate,
    ConversationRead,
    ConversationUpdate,
    Unread,
)
from quintet.http.answers import changed, created, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/conversations", tags=["conversations"])


@router.get("", response_model=Page[ConversationRead])
async def list_conversations(
    session: SessionDep, caller: Caller, paging: Paging, project_id: UUID | None = None, is_group: bool | None = None
) -> Response:
    """List the caller's conversations, that with the latest message first.

    One in which something is said moves to the front, past a reader who is on a later page; its event tells.
    """
    return listed(queries.list_conversations(session, caller, paging, project_id=project_id, is_group=is_group))


class _Start(NamedTuple):
    new: ConversationCreate
    there: UUID | None


async def _start(request: Request, session: SessionDep, caller: Caller, new: ConversationCreate) -> _Start:
    """What is asked for; and the direct conversation when there is it already: finding is not counted."""
    there = service.find_direct(session, caller, user_id=new.user_id) if new.user_id else None
    if there is None:
        await limit(request, session, caller, "conversation")
    return _Start(new, there)


@router.post(
    "",
    status_code=201,
    response_model=ConversationRead,
    responses={
        200: {"description": "The direct conversation that there is.", "model": ConversationRead},
        **responses(429),
    },
)
async def create_conversation(
    request: Request,
    session: SessionDep,
    caller: Caller,
    start: Annotated[_Start, Depends(_start)],
    claimed: Annotated[None, Idempotent],
) -> Response:
    """Start a direct conversation, of which there is one for two accounts, or a group, which the caller owns."""
    new, there = start
    if there:
        conversation_id, is_new = there, False
    elif new.user_id:
        conversation_id, is_new = service.start_direct(session, caller, user_id=new.user_id)
    else:
        conversation_id, is_new = service.create_group(session, caller, new=new), True
    read, _ = queries.read_conversation(session, caller, conversation_id)
    return created(request, read, f"/conversations/{conversation_id}") if is_new else changed(read)


@router.get("/unread", response_model=Unread)
async def read_unread(session: SessionDep, caller: Caller) -> Response:
    """Count what the caller has not read, over all their conversations."""
    return changed(queries.read_unread(session, caller))


@router.get("/{conversation_id}", response_model=ConversationRead)
async def read_conversation(request: Request, session: SessionDep, caller: Caller, conversation_id: UUID) -> Response:
    """Read one conversation."""
    read, variant = queries.read_conversation(session, caller, conversation_id)
    return fresh(request, read, variant=variant)


@router.change("/{conversation_id}", response_model=ConversationRead, responses=responses(403, 409))
async def update_conversation(
    session: SessionDep, caller: Caller, conversation_id: UUID, change: ConversationUpdate, expected: IfMatch
) -> Response:
    """Change a group's title; for its owner.

    While the owner's account is disabled, the active member who joined first may do all that an owner may.
    """
    service.update_conversation(session, caller, conversation_id=conversation_id, change=change, expected=expected)
    read, _ = queries.read_conversation(session, caller, conversation_id)
    return changed(read)


@router.delete("/{conversation_id}", status_code=204, responses=responses(403, 409))
async def remove_conversation(
    session: SessionDep, caller: Caller, conversation_id: UUID, expected: IfMatch
) -> Response:
    """Remove a group and all that was said in it, for everybody; for its owner."""
    service.remove_conversation(session, caller, conversation_id=conversation_id, expected=expected)
    return Response(status_code=204)
