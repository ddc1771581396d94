"""HTTP of events."""

import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AwareDatetime, BeforeValidator, WithJsonSchema
from starlette.responses import Response

from functions.events import queries
from functions.events.schemas import EventRead, Feed, Filters
from quintet.errors import BadRequest
from quintet.events.types import EventType
from quintet.http.answers import listed
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/events", tags=["events"])

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _as_rfc3339(value: Any) -> Any:
    if isinstance(value, str) and not _RFC_3339.fullmatch(value):
        raise ValueError("not a time as RFC 3339 has it: 2026-11-20T09:30:00Z")
    return value


Instant = Annotated[
    AwareDatetime, BeforeValidator(_as_rfc3339), WithJsonSchema({"type": "string", "format": "date-time"})
]
Scope = Annotated[
    str,
    Query(
        pattern=r"^(system|(user|project|conversation|campaign|course):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$",
        description="`project:<id>`, `user:<id>`, ...; `system` is for `events:read_all`.",
    ),
]


async def _filters(
    type: EventType | None = None,
    subject_type: Annotated[str | None, Query(pattern="^[a-z_]{1,40}$")] = None,
    subject_id: UUID | None = None,
    actor_id: Annotated[UUID | None, Query(description="What this account did.")] = None,
    scope: Scope | None = None,
    since: Annotated[Instant | None, Query(alias="from", description="At this time or later.")] = None,
    until: Annotated[Instant | None, Query(alias="to", description="Before this time.")] = None,
) -> Filters:
    return Filters(
        type=type,
        subject_type=subject_type,
        subject_id=subject_id,
        actor_id=actor_id,
        scope=scope,
        since=since,
        until=until,
    )


@router.get("", response_model=Page[EventRead] | Feed, responses=responses(404, 410))
async def list_events(
    session: SessionDep,
    caller: Caller,
    paging: Paging,
    filters: Annotated[Filters, Depends(_filters)],
    after: Annotated[
        str | None,
        Query(
            max_length=200,
            json_schema_extra={"pattern": "^(start|latest|[A-Za-z0-9_-]{32})$"},
            description="Makes it a feed: `latest` answers no events and the cursor of the present end, `start` the "
            "oldest events that are kept, a `next_cursor` those that came after. Not with `cursor`.",
        ),
    ] = None,
) -> Response:
    """Read the log: the audit trail, newest first, or with `after` the feed, oldest first, which never ends.

    Everybody reads what concerns their account and their projects; `events:read_all` reads everything. The feed gives
    each event once and skips none, if every request carries the `next_cursor` of the answer before; with nothing
    new, `items` is empty and `next_cursor` still the one to go on from. Events are kept for 13 months: an older
    cursor is answered 410.
    """
    if after is None:
        return listed(queries.trail(session, caller, paging, filters))
    if paging.cursor is not None:
        raise BadRequest.at("query/cursor", "Send either `cursor` (the audit trail) or `after` (the feed).")
    return listed(queries.feed(session, caller, after, paging.limit, filters))
