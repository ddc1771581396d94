"""HTTP of searches."""

from typing import Annotated, get_args

from fastapi import Query, Request
from pydantic import AfterValidator, WithJsonSchema
from starlette.responses import Response

from functions.search import queries
from functions.search.schemas import Found, Kind
from quintet.http.answers import listed
from quintet.http.dependencies import Caller, SessionDep
from quintet.http.envelope import link
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page
from quintet.http.searches import Limited, RankedPaging, Words

router = Router(prefix="/search", tags=["search"])

KINDS: tuple[Kind, ...] = get_args(Kind)
_ANY = "|".join(KINDS)


def _kinds(value: str) -> str:
    if not set(value.split(",")) <= set(KINDS):
        raise ValueError(f"not kinds of things that can be found; send some of {', '.join(KINDS)}, with commas between")
    return value


Types = Annotated[
    str,
    AfterValidator(_kinds),
    Query(description="Only these, with commas between.", examples=["task,message"], max_length=200),
    WithJsonSchema({"type": "string", "maxLength": 200, "pattern": f"^({_ANY})(,({_ANY}))*$"}),
]


@router.get("", response_model=Page[Found], dependencies=[Limited], responses=responses(429))
async def search(
    request: Request,
    session: SessionDep,
    caller: Caller,
    paging: RankedPaging,
    q: Words,
    types: Types | None = None,
) -> Response:
    """Look for words in everything the caller may read, best matches first, then the newest.

    Found is what the caller's own lists have: projects and courses that are not archived, tasks, messages, files by
    their name, contacts. Words that thousands of things of a kind have find some hundreds of those, the newest first.
    """
    wanted = types.split(",") if types else KINDS
    return listed(queries.search(session, caller, paging, q=q, kinds=wanted, base=link(request.scope, "")))
