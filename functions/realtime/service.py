"""The rules of tickets, and of what connected clients ask for."""

import json
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.orm import Session

from functions.realtime import queries
from functions.realtime.frames import TYPING_SECONDS
from functions.realtime.schemas import TicketRead
from quintet.config import settings
from quintet.errors import NotFound
from quintet.identity.one_time_tokens import LIFETIMES, mint
from quintet.identity.principal import Principal
from quintet.realtime.sockets import MAX_FRAME, Frame

PAGE = 100
"""Events that a replay reads at once."""


def create_ticket(session: Session, caller: Principal) -> TicketRead:
    """A ticket for one connection, bound to the caller's session."""
    lifetime = LIFETIMES["realtime_ticket"]
    ticket = mint(
        session,
        user_id=caller.user_id,
        email=caller.email,
        purpose="realtime_ticket",
        lifetime=lifetime,
        session_id=caller.session_id,
    )
    url = settings().realtime_endpoint.replace("http", "ws", 1)
    return TicketRead(ticket=ticket, url=url, expires_at=datetime.now(UTC) + lifetime)


def typing_frames(session: Session, caller: UUID, *, conversation_id: UUID, typing: bool) -> list[Frame]:
    """What tells the other members of a conversation who types; 404 when the caller takes no part in it."""
    others = queries.others_in(session, caller, conversation_id)
    if others is None:
        raise NotFound("There is no such conversation.")
    frame = json.dumps(
        {
            "type": "typing",
            "conversation_id": str(conversation_id),
            "user_id": str(caller),
            "expires_in": TYPING_SECONDS if typing else 0,
        }
    )
    return [(id, frame) for id in others]


def replayed(session: Session, caller: UUID, *, connected_at: datetime, after: str) -> str:
    """The frame with what happened after a cursor: as much as fits into one, with the cursor behind that."""
    read = queries.replay(session, caller, after, connected_at=connected_at, limit=PAGE)
    fitting, size = 0, 300  # for what is around the events
    for item in read.items:
        size += len(item.json.encode()) + 1 if item.json else 0
        if fitting and size > MAX_FRAME:
            break
        fitting += 1
    more = json.dumps(read.more or fitting < len(read.items))
    events = ",".join(item.json for item in read.items[:fitting] if item.json)
    return f'{{"type":"replayed","events":[{events}],"next_cursor":"{read.end(fitting)}","more":{more}}}'
