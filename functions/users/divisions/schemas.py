"""Bodies of divisions and their members."""

from typing import Annotated
from uuid import UUID

from quintet.http.schemas import Input, Output, Timestamp, Update, text

Name = Annotated[str, text(100, min_length=1)]


class DivisionCreate(Input):
    """A new division."""

    name: Name


class DivisionUpdate(Update):
    """The fields to change."""

    name: Name = ""


class DivisionRead(Output):
    """A division."""

    id: UUID
    name: str
    created_at: Timestamp
    updated_at: Timestamp
    version: int


class DivisionMemberRead(Output):
    """An account that belongs to a division."""

    id: UUID
    full_name: str
    username: str | None
