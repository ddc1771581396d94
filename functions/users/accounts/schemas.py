"""Bodies of accounts."""

from typing import Annotated, Any, ClassVar
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from quintet.db.models.accounts import UserStatus
from quintet.http.schemas import NO_NUL, Email, FullName, Input, NewPassword, Output, Timestamp, Update, Username, text
from quintet.identity.permissions import NEWCOMER

RoleName = Annotated[str, text(50, min_length=1)]

_NAME_SCHEMA = {"type": "string", "minLength": 1, "maxLength": 50, "pattern": NO_NUL}


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


RoleNames = Annotated[
    list[RoleName],
    Field(max_length=50),
    BeforeValidator(_as_list),
    WithJsonSchema(
        {
            "description": "All the roles the account is to hold, by name; a single one may be sent bare.",
            "anyOf": [{"type": "array", "items": _NAME_SCHEMA, "maxItems": 50}, _NAME_SCHEMA],
        }
    ),
]


def _zone(value: str) -> str:
    from zoneinfo import ZoneInfo  # 15 ms

    try:
        return ZoneInfo(value).key
    except (LookupError, OSError, ValueError):
        raise ValueError("not a time zone of the IANA database; send one such as Europe/Copenhagen") from None


# Not `posix/...` and the like: those are files of the database, and no zones' names.
TimeZone = Annotated[
    str,
    Field(
        max_length=50,
        pattern=r"^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$",
        description="IANA time zone: when the account's morning is.",
        examples=["Europe/Copenhagen"],
    ),
    AfterValidator(_zone),
]

_ALIASES = {"full_name": ("name",), "roles": ("role",)}


class UserCreate(Input):
    """A new account. Without a password its owner is invited by email to set one."""

    aliases: ClassVar = _ALIASES

    email: Email
    full_name: FullName
    username: Username | None = None
    password: NewPassword | None = None
    roles: RoleNames = Field(default=[NEWCOMER])


class UserUpdate(Update):
    """The fields to change. `roles` and `status` need `users:write`; a new address has to be verified anew."""

    aliases: ClassVar = _ALIASES

    email: Email = ""
    full_name: FullName = ""
    username: Username | None = None
    time_zone: TimeZone = ""
    roles: RoleNames = Field(default=[])
    status: UserStatus = "active"


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
    status: UserStatus
    email_verified: bool
    time_zone: str
    roles: list[str]
    divisions: list[DivisionName]
    deletion_requested_at: Timestamp | None = Field(
        description="Its owner has deleted it, and can take it back until it is erased. So can `status: active`."
    )
    created_at: Timestamp
    updated_at: Timestamp
    version: int
