"""HTTP of messages."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from starlette.responses import Response

from functions.conversations.access import MessageLimit, ReactionLimit
from functions.conversations.messages import queries, service
from functions.conversations.messages.schemas import Emoji, MessageCreate, MessagePage, MessageRead, MessageUpdate
from quintet.http.answers import changed, created, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router

router = Router(tags=["messages"])

After = Annotated[
    str | None,
    Query(
        max_length=200,
        description="The `previous_cursor` of an earlier answer: the messages that came next. Not with `cursor`.",
        json_schema_extra={"pattern": "^[A-Za-z0-9_-]{22}$"},
    ),
]


@router.get("/conversations/{conversation_id}/messages", response_model=MessagePage)
async def list_messages(
    session: SessionDep, caller: Caller, conversation_id: UUID, paging: Paging, after: After = None
) -> Response:
    """List the messages of a conversation, newest first; `cursor` goes on to older ones, `after` back to newer ones.

    Their order is that of their ids, not that of the events, which are in the order of transactions. Who asks `after`
    again and again misses none: messages are made one after the other. Of very long ones a page has fewer than `limit`:
    it ends after 2 MB, and the cursors go on from there.
    """
    return listed(queries.list_messages(session, caller, conversation_id, paging, after=after))


@router.post(
    "/conversations/{conversation_id}/messages",
    status_code=201,
    response_model=MessageRead,
    dependencies=[MessageLimit, Idempotent],
    responses=responses(429),
)
async def send_message(
    request: Request, session: SessionDep, caller: Caller, conversation_id: UUID, new: MessageCreate
) -> Response:
    """Send a message: rich text or plain, with files, perhaps in reply to another.

    With it, all that was said before counts as read by its sender.
    """
    message_id = service.send_message(session, caller, conversation_id=conversation_id, new=new)
    read, _ = queries.read_message(session, caller, message_id)
    return created(request, read, f"/messages/{message_id}")


@router.get("/messages/{message_id}", response_model=MessageRead)
async def read_message(request: Request, session: SessionDep, caller: Caller, message_id: UUID) -> Response:
    """Read one message."""
    read, variant = queries.read_message(session, caller, message_id)
    return fresh(request, read, variant=variant)


@router.change(
    "/messages/{message_id}",
    response_model=MessageRead,
    dependencies=[MessageLimit],
    responses=responses(403, 409, 429),
)
async def update_message(
    session: SessionDep, caller: Caller, message_id: UUID, change: MessageUpdate, expected: IfMatch
) -> Response:
    """Change what a message says; for who sent it."""
    service.update_message(session, caller, message_id=message_id, change=change, expected=expected)
    read, _ = queries.read_message(session, caller, message_id)
    return changed(read)


@router.delete("/messages/{message_id}", status_code=204, responses=responses(403))
async def delete_message(session: SessionDep, caller: Caller, message_id: UUID, expected: IfMatch) -> Response:
    """Delete a message; for who sent it. Its place stays, its content, files, mentions and reactions do not."""
    service.delete_message(session, caller, message_id=message_id, expected=expected)
    return Response(status_code=204)


@router.put(
    "/messages/{message_id}/reactions/{emoji}",
    status_code=204,
    dependencies=[ReactionLimit],
    responses=responses(409, 429),
)
async def add_reaction(session: SessionDep, caller: Caller, message_id: UUID, emoji: Emoji) -> Response:
    """Put an emoji to a message. May be repeated."""
    service.add_reaction(session, caller, message_id=message_id, emoji=emoji)
    return Response(status_code=204)


@router.delete(
    "/messages/{message_id}/reactions/{emoji}",
    status_code=204,
    dependencies=[ReactionLimit],
    responses=responses(429),
)
async def remove_reaction(session: SessionDep, caller: Caller, message_id: UUID, emoji: Emoji) -> Response:
    """Take an emoji of the caller's away from a message. May be repeated."""
    service.remove_reaction(session, caller, message_id=message_id, emoji=emoji)
    return Response(status_code=204)
