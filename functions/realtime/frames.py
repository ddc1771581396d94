"""Frames. What clients send is parsed by these models; what we send is JSON that PostgreSQL or a line of Python built,
of which the models are the documentation (`docs/asyncapi.json`), and tests hold one to the other."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter

from quintet.db.models.connections import ConnectionStatus
from quintet.http.schemas import Input, Output, Timestamp

TYPING_SECONDS = 6
"""After which a client takes somebody to type no more."""

FRAME_ID = "[A-Za-z0-9_-]{1,64}"


class Sent(Input):
    """What every frame of a client may have."""

    id: str | None = Field(None, pattern=f"^{FRAME_ID}$", description="What the answer is to carry, to be told apart.")


class Answer(Output):
    """What answers a frame."""

    id: str | None = Field(None, description="That of the frame it answers, if that had one.")


class Typing(Sent):
    """The client's person types in a conversation, or has stopped. Send it again every few seconds while they do."""

    action: Literal["typing"]
    conversation_id: UUID
    typing: bool = True


class Presence(Sent):
    """How the client's person is present on this device, if that has changed. Answered by `people`."""

    action: Literal["presence"]
    status: ConnectionStatus | None = None


class Replay(Sent):
    """Ask for what happened after a cursor. Answered by `replayed`."""

    action: Literal["replay"]
    after: str = Field(
        max_length=200,
        description="`latest` gives no events and the cursor of the present end, `start` the oldest events that are "
        "kept, a `next_cursor` (of `replayed`, or of `GET /events?after=`) those that came after.",
    )


class Ping(Sent):
    """Keeps the connection and its person's presence: send it every five minutes. Answered by `pong`."""

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


class Replayed(Answer):
    """What happened after the cursor that was sent, in order; of types that come in `events`. It alone moves the
    cursor, which in the end stays before what was committed while something older was not: that comes again."""

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


class People(Answer):
    """Who is there now of those the client's person talks with: the 200 who were seen last. When there are fewer,
    everybody else is offline."""

    type: Literal["people"]
    people: list[Person]
    at: Timestamp


class Pong(Answer):
    """The answer to a ping."""

    type: Literal["pong"]


class Error(Answer):
    """A frame could not be taken. After `rate_limited`, `signed_out`, `reconnect` and `replaced` the connection is
    closed. Connect again: after the first later, after the second having signed in, after the third at once, and after
    the fourth when the person uses the device."""

    type: Literal["error"]
    code: Literal[
        "invalid",
        "unknown_action",
        "not_found",
        "gone",
        "slow_down",
        "rate_limited",
        "signed_out",
        "reconnect",
        "replaced",
        "failed",
    ]
    detail: str
    pointer: str | None = Field(None, description="Where in the frame (RFC 6901); its beginning, if that is long.")


class GatewayError(Output):
    """What API Gateway itself says of a frame that it could not hand on: `Forbidden`, `Internal server error`."""

    message: str
    connection_id: str = Field(alias="connectionId")
    request_id: str = Field(alias="requestId")


ServerFrame = Events | Replayed | SomebodyTypes | SomebodysPresence | People | Pong | Error | GatewayError
