"""Frames. What clients send is parsed by these models; what we send is JSON that PostgreSQL or a line of Python built,
of which the models are the documentation (`docs/asyncapi.json`), and tests hold one to the other."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter

from quintet.db.models.connections import ConnectionStatus
from quintet.http.schemas import Input, Output, Timestamp

TYPING_SECONDS = 6
"""After which a client takes somebody to type no more."""


class Typing(Input):
    """The client's person types in a conversation, or has stopped. Send it again every few seconds while they do."""

    action: Literal["typing"]
    conversation_id: UUID
    typing: bool = True


class Presence(Input):
    """How the client's person is present on this device, if that has changed. Answered by `people`."""

    action: Literal["presence"]
    status: ConnectionStatus | None = None


class Replay(Input):
    """Ask for what happened after a cursor. Answered by `replayed`."""

    action: Literal["replay"]
    after: str = Field(
        max_length=200,
        description="`latest` gives no events and the cursor of the present end, `start` the oldest events that are "
        "kept, a `next_cursor` (of `replayed`, or of `GET /events?after=`) those that came after.",
    )


class Ping(Input):
    """Keeps the connection, which is closed when nothing is sent for ten minutes. Answered by `pong`."""

    action: Literal["ping"]


ClientFrame = Typing | Presence | Replay | Ping
CLIENT_FRAME: TypeAdapter[ClientFrame] = TypeAdapter(Annotated[ClientFrame, Field(discriminator="action")])


class EventInFrame(Output):
    """Something that happened, as `GET /events` has it; `data` by `type`."""

    id: UUID
    at: Timestamp
    type: str = Field(description="`<subject>.<what happened>`")
    actor_id: UUID | None
    subject_type: str
    subject_id: UUID | None
    data: dict[str, Any]
    scope: str
    ip: None
    request_id: str | None
    position: str = Field(description="Its place in the order of events; compare it as text.")


class Events(Output):
    """Events, as they happen. Some may come twice, or late; none moves the cursor."""

    type: Literal["events"]
    events: list[EventInFrame]


class Replayed(Output):
    """What happened after the cursor that was sent, in order. It alone moves the cursor, which stays before what was
    committed while something older was not: that comes again."""

    type: Literal["replayed"]
    events: list[EventInFrame]
    next_cursor: str
    more: bool = Field(description="Whether to ask again at once, with `next_cursor`.")


class SomebodyTypes(Output):
    """Somebody types in a conversation."""

    type: Literal["typing"]
    conversation_id: UUID
    user_id: UUID
    expires_in: int = Field(description="Seconds after which they do not, unless it comes again; 0: they stopped.")


class Person(Output):
    """How somebody is present: as on the best of their devices."""

    user_id: UUID
    status: Literal["online", "away", "offline"]
    last_seen_at: Timestamp


class SomebodysPresence(Person):
    """How somebody is present now. Of two for one person the one with the later `at` counts."""

    type: Literal["presence"]
    at: Timestamp


class People(Output):
    """Who is connected now of those the client's person talks with; everybody else is offline."""

    type: Literal["people"]
    people: list[Person]
    at: Timestamp


class Pong(Output):
    """The answer to a ping."""

    type: Literal["pong"]


class Error(Output):
    """A frame could not be taken. After `rate_limited` and `signed_out` the connection is closed."""

    type: Literal["error"]
    code: Literal["invalid", "unknown_action", "not_found", "gone", "slow_down", "rate_limited", "signed_out", "failed"]
    detail: str
    pointer: str | None = Field(None, description="Where in the frame (RFC 6901).")


ServerFrame = Events | Replayed | SomebodyTypes | SomebodysPresence | People | Pong | Error
