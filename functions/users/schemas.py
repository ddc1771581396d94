"""Bodies of accounts."""

from typing import Literal
from uuid import UUID

from quintet.http.schemas import Output, Timestamp

Status = Literal["active", "disabled"]


class DivisionName(Output):
    """A division the account belongs to."""

    id: UUID
    name: str


class UserRead(Output):
    """An account; `roles` are the names of those it holds."""

    id: UUID
    email: str
    username: str | None
    full_name: str
    status: Status
    email_verified: bool
    roles: list[str]
    divisions: list[DivisionName]
    created_at: Timestamp
    updated_at: Timestamp
    version: int
