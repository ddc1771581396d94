"""Bodies of searches."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from quintet.http.schemas import Output, Timestamp

Kind = Literal["project", "task", "message", "file", "contact", "course"]


class Found(Output):
    """Something that has the words."""

    type: Kind
    id: UUID
    title: str = Field(description="What it is called; of a message, where it was said, or by whom.")
    highlight: str = Field(
        description="Where the words are: HTML, in which `<mark>` is the only element and all else is escaped.",
        examples=["see you &lt;at&gt; <mark>lunch</mark>"],
    )
    href: str = Field(description="Where to read it.", examples=["/api/v1/tasks/0199c0de-0000-7000-8000-000000000000"])
    rank: float = Field(description="How well it fits; comparable within one search.")
    created_at: Timestamp
    updated_at: Timestamp
