"""HTTP of searches."""

from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.responses import Response

from functions.conversations.search import queries
from functions.conversations.search.schemas import MessageFound
from quintet.http.answers import listed
from quintet.http.dependencies import Caller, SessionDep
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page
from quintet.http.searches import Limited, RankedPaging, Words

router = Router(prefix="/messages", tags=["messages"])


@router.get("/search", response_model=Page[MessageFound], dependencies=[Limited], responses=responses(404, 429))
async def search_messages(
    session: SessionDep,
    caller: Caller,
    paging: RankedPaging,
    q: Words,
    conversation_id: Annotated[UUID | None, Query(description="Only there.")] = None,
) -> Response:
    """Look for words in everything the caller may read, best matches first, then the newest.

    Of more than a thousand messages with the words, the newest thousand are ranked.
    """
    return listed(queries.search_messages(session, caller, paging, q=q, conversation_id=conversation_id))
