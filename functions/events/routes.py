"""HTTP of events."""

from typing import Annotated

from fastapi import Depends, Query
from starlette.responses import Response

from functions.events import queries
from functions.events.schemas import EventRead, Feed, Filters
from quintet.errors import BadRequest
from quintet.http.answers import listed
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/events", tags=["events"])


@router.get("", response_model=Page[EventRead] | Feed, responses=responses(404, 410))
async def list_events(
    session: SessionDep,
    caller: Caller,
    paging: Paging,
    filters: Annotated[Filters, Depends()],
    after: Annotated[
        str | None,
        Query(
            max_length=200,
            json_schema_extra={"pattern": "^(start|latest|([A-Za-z0-9_-]{32}){1,2})$"},
            description="Makes it a feed: `latest` answers no events and the cursor of the present end, `start` the "
            "oldest events that are kept, a `next_cursor` those that came after. Not with `cursor`.",
        ),
    ] = None,
) -> Response:
    """Read the log: the audit trail, newest first, or with `after` the feed, oldest first, which never ends.

    Everybody reads what concerns their account, their projects, their conversations, the campaigns they created or
    work on as an agent, and the courses they created or take; who takes a course is told to whoever created it, and to
    each student of themselves. `events:read_all` reads everything but other people's conversations. The feed gives each
    event once and skips none, if every request carries the `next_cursor` of the answer before; with nothing new,
    `items` is empty and `next_cursor` still the one to go on from. Events are kept for 13 months: an older cursor is
    answered 410.
    """
    if after is None:
        return listed(queries.trail(session, caller, paging, filters))
    if paging.cursor is not None:
        raise BadRequest.at("query/cursor", "Send either `cursor` (the audit trail) or `after` (the feed).")
    return listed(queries.feed(session, caller, after, paging.limit, filters))
