"""HTTP of searches."""

from typing import Annotated
from uuid import UUID

from fastapi import Query
from starlette.responses import Response

from functions.conversations.search import queries
from functions.conversations.search.schemas import MessageFound
from quintet.http.answers import listed
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page, text

router = Router(prefix="/messages", tags=["messages"])

Words = Annotated[
    str, text(200, min_length=1), Query(description='Words; "quoted" ones in a row, `or` between, `-` before none.')
]


@router.get("/search", response_model=Page[MessageFound], responses=responses(404))
async def search_messages(
    session: SessionDep,
    caller: Caller,
    paging: Paging,
    q: Words,
    conversation_id: Annotated[UUID | None, Query(description="Only there.")] = None,
) -> Response:
    """Look for words in everything the caller may read, best matches first, then the newest.

    Of more than a thousand messages with the words, the newest thousand are ranked.
    """
    return listed(queries.search_messages(session, caller, paging, q=q, conversation_id=conversation_id))
