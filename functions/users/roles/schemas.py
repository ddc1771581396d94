"""Bodies of roles."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool, WithJsonSchema

from quintet.http.schemas import Input, Output, Timestamp, Update, text
from quintet.identity.permissions import EVERYTHING, Permission

_KNOWN = (EVERYTHING, *(permission.value for permission in Permission))


def _known(value: str) -> str:
    if value not in _KNOWN:
        raise ValueError(f"not a permission; there are {', '.join(_KNOWN)}")
    return value


Name = Annotated[str, Field(min_length=1, max_length=50, pattern=r"^[a-z][a-z0-9_]*$")]
Description = Annotated[str, text(1000)]
Permissions = Annotated[
    list[Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(_KNOWN)})]],
    Field(max_length=100, description="`*` is all of them, also those that come later."),
    AfterValidator(lambda permissions: sorted(set(permissions))),
]


class RoleCreate(Input):
    """A new role."""

    name: Name
    description: Description = ""
    permissions: Permissions = Field(default=[])
    self_assignable: StrictBool = Field(default=False, description="Whether newcomers may choose it.")


class RoleUpdate(Update):
    """The fields to change; `permissions` replaces them all, for every account that holds the role, at once."""

    name: Name = ""
    description: Description = ""
    permissions: Permissions = Field(default=[])
    self_assignable: StrictBool = False


class RoleRead(Output):
    """A role."""

    id: UUID
    name: str
    description: str
    permissions: list[str]
    self_assignable: bool
    created_at: Timestamp
    updated_at: Timestamp
    version: int
