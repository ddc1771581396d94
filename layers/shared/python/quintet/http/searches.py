"""What searches ask for: words, and pages that go on by rank; and how often anybody may search."""

from typing import Annotated

from fastapi import Depends, Query, Request

from quintet.http.dependencies import Caller, Limit, SessionDep, rate_limit
from quintet.http.schemas import text
from quintet.pagination import PageRequest

Words = Annotated[
    str,
    text(200, min_length=1),
    Query(
        description="Words as they are written; what is joined by signs (`TASK-1234`, `bob@example.com`) is words in a"
        ' row, as "quoted" ones are. `or` between, `-` before none. Upper and lower case are the same; accents, plurals'
        " and other forms of a word are not, and what is written without spaces (Chinese, Japanese, Thai) is one word."
    ),
]
_Cursor = Annotated[
    str,
    Query(
        max_length=200,
        description="The `next_cursor` of the page before.",
        json_schema_extra={"pattern": "^([A-Za-z0-9_-]{27})?$"},
    ),
]


async def _paging(limit: Limit = 50, cursor: _Cursor | None = None) -> PageRequest:
    return PageRequest(limit, cursor)


async def _limited(request: Request, session: SessionDep, caller: Caller) -> None:
    rate_limit(request, session, "search", account=str(caller.user_id))


RankedPaging = Annotated[PageRequest, Depends(_paging)]
"""A page whose cursor is of `encode_rank`."""

Limited = Depends(_limited)
"""For the `dependencies` of a search."""
