"""HTTP of searches."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from starlette.responses import Response

from functions.conversations.search import queries
from functions.conversations.search.schemas import MessageFound
from quintet.http.answers import listed
from quintet.http.dependencies import Caller, Limit, SessionDep, rate_limit
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page, text
from quintet.pagination import PageRequest

router = Router(prefix="/messages", tags=["messages"])

Words = Annotated[
    str,
    text(200, min_length=1),
    Query(
        description="Words as they are written; what is joined by signs (`TASK-1234`, `bob@example.com`) is words in a"
        ' row, as "quoted" ones are. `or` between, `-` before none. Upper and lower case are the same; accents, plurals'
        " and other forms of a word are not, and what is written without spaces (Chinese, Japanese, Thai) is one word."
    ),
]
Cursor = Annotated[
    str,
    Query(
        max_length=200,
        description="The `next_cursor` of the page before.",
        json_schema_extra={"pattern": "^([A-Za-z0-9_-]{27})?$"},
    ),
]


async def _paging(limit: Limit = 50, cursor: Cursor | None = None) -> PageRequest:
    return PageRequest(limit, cursor)


async def _limited(request: Request, session: SessionDep, caller: Caller) -> None:
    rate_limit(request, session, "search", account=str(caller.user_id))


@router.get(
    "/search", response_model=Page[MessageFound], dependencies=[Depends(_limited)], responses=responses(404, 429)
)
async def search_messages(
    session: SessionDep,
    caller: Caller,
    paging: Annotated[PageRequest, Depends(_paging)],
    q: Words,
    conversation_id: Annotated[UUID | None, Query(description="Only there.")] = None,
) -> Response:
    """Look for words in everything the caller may read, best matches first, then the newest.

    Of more than a thousand messages with the words, the newest thousand are ranked.
    """
    return listed(queries.search_messages(session, caller, paging, q=q, conversation_id=conversation_id))
