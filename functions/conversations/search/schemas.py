"""Bodies of searches."""

from uuid import UUID

from pydantic import Field

from quintet.http.schemas import Output, Timestamp


class MessageFound(Output):
    """A message that has the words."""

    id: UUID
    conversation_id: UUID
    sender_id: UUID
    sender_name: str
    highlight: str = Field(
        description="Where the words are: HTML, in which `<mark>` is the only element and all else is escaped.",
        examples=["see you &lt;at&gt; <mark>lunch</mark>"],
    )
    created_at: Timestamp
