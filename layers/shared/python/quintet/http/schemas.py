"""What the bodies of all resources are made of."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from quintet.identity.passwords import MAX_LENGTH, MIN_LENGTH

Item = TypeVar("Item")

NO_NUL = r"^[^\x00]*$"
"""PostgreSQL's text holds every character but this one."""


def text(max_length: int, min_length: int = 0) -> StringConstraints:
    """For `Annotated[str, text(...)]`: trimmed, bounded, storable."""
    return StringConstraints(strip_whitespace=True, min_length=min_length, max_length=max_length, pattern=NO_NUL)


def _number(value: Any) -> Any:
    if isinstance(value, str | bool):
        raise ValueError("send a number")
    return value


Number = BeforeValidator(_number)
"""For `Annotated[int, Field(...), Number]` in a body, where a number is neither "7" nor true.

The last of them: before a `Field`, the document would lack its bounds.
"""


def _address(value: str) -> str:
    from email_validator import EmailNotValidError, validate_email  # 60 ms

    try:
        address = validate_email(value, check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise ValueError(f"not an email address: {error}") from None
    return str(address.ascii_email)


Email = Annotated[
    str,
    text(254, min_length=3),
    AfterValidator(_address),
    WithJsonSchema({"type": "string", "format": "email", "minLength": 3, "maxLength": 254}),
]
"""An address mail can be sent to (RFC 5321, without SMTPUTF8, which SES has not): an international domain becomes
its ASCII form (RFC 5891). The library that checks it is imported when the first one is checked."""


def _known_form(value: str) -> str:
    try:
        return _address(value)
    except ValueError:
        return value.encode("ascii", "backslashreplace").decode()  # which is nobody's


KnownEmail = Annotated[str, text(254, min_length=1), AfterValidator(_known_form)]
"""An address somebody claims to have an account with, in the form it is stored in: every spelling that the database
takes for one address is counted as one. What is no address is nobody's, and treated no differently."""

FullName = Annotated[str, text(100, min_length=1)]
Username = Annotated[str, Field(min_length=3, max_length=50, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
NewPassword = Annotated[
    str, Field(min_length=MIN_LENGTH, max_length=MAX_LENGTH, description="None that is easily guessed.")
]


def rfc3339(at: datetime) -> str:
    """A time as the API writes it: UTC, microseconds, Z."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


Timestamp = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""UTC with microseconds and Z, the form `quintet.db.json` writes too (RFC 3339)."""

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _as_rfc3339(value: Any) -> Any:
    if not (isinstance(value, str) and _RFC_3339.fullmatch(value)):
        raise ValueError("not a time as RFC 3339 has it: 2026-11-20T09:30:00Z")
    return value


Instant = Annotated[
    AwareDatetime, BeforeValidator(_as_rfc3339), WithJsonSchema({"type": "string", "format": "date-time"})
]
"""A moment we are sent: as RFC 3339 has it, and nothing else that a library would take for a time."""

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def _as_day(value: Any) -> Any:
    if not (isinstance(value, str) and _DAY.fullmatch(value)):
        raise ValueError("not a day as RFC 3339 has it: 2026-11-20")
    return value


Day = Annotated[date, BeforeValidator(_as_day), WithJsonSchema({"type": "string", "format": "date"})]
"""A day we are sent: as RFC 3339's full-date has it."""


def _storable(value: Any, depth: int = 0) -> Any:
    if depth > 16:
        raise ValueError("nested too deeply; 16 levels at most")
    match value:
        case str() if "\x00" in value:
            raise ValueError("a NUL character cannot be stored")
        case float() if value != value or value in (float("inf"), float("-inf")):
            raise ValueError("NaN and infinity are not JSON (RFC 8259)")
        case int() if abs(value) > 2**63:
            raise ValueError("integers beyond 64 bits are not portable; send a string")
        case dict():
            for key, member in value.items():
                _storable(key, depth)
                _storable(member, depth + 1)
        case list():
            for member in value:
                _storable(member, depth + 1)
    return value


def _bounded(value: dict[str, Any]) -> dict[str, Any]:
    import json

    try:
        encoded = json.dumps(_storable(value), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate is not Unicode text") from None
    if len(encoded) > 16_384:
        raise ValueError("larger than 16 KB")
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_bounded)]
"""Free-form JSON that PostgreSQL can hold: 16 KB, 16 levels."""


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except RecursionError:  # nested as deep as the parser goes, which is no value of any field
        return False


class Input(BaseModel):
    """A body we are sent. Unknown fields are refused: a misspelt one must not be lost in silence.

    `aliases` names other spellings the products use; two that contradict each other are refused.
    """

    model_config = ConfigDict(extra="forbid")

    aliases: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _canonical_names(cls, data: Any) -> Any:
        if not isinstance(data, dict) or not cls.aliases:
            return data
        data = dict(data)
        for name, others in cls.aliases.items():
            given = {spelling: data.pop(spelling) for spelling in (name, *others) if spelling in data}
            values = list(given.values())
            if not all(_same(value, values[0]) for value in values[1:]):
                raise ValueError(f"the same field is sent as {' and '.join(given)}; send one, or the same value")
            if given:
                data[name] = values[0]
        return data

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler.resolve_ref_schema(handler(core_schema))
        required = schema.get("required", [])
        for name, others in cls.aliases.items():
            for other in others:
                schema["properties"][other] = {
                    **schema["properties"][name],
                    "title": other,
                    "description": f"Another name of `{name}`.",
                }
            if name in required:
                required.remove(name)
                choices = [{"required": [spelling]} for spelling in (name, *others)]
                schema.setdefault("allOf", []).append({"anyOf": choices})
        if not required:
            schema.pop("required", None)
        return schema

    def changes(self) -> dict[str, Any]:
        """The fields that were sent, as RFC 7396 merges them: those left out stay as they are."""
        return self.model_dump(exclude_unset=True)


class Update(Input):
    """A body that changes some fields. Its defaults only say that a field may be left out; they are never used."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = super().__get_pydantic_json_schema__(core_schema, handler)
        for member in schema["properties"].values():
            member.pop("default", None)
        return {**schema, "minProperties": 1}

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("name at least one field to change")
        return self


class Output(BaseModel):
    """A body we send."""

    model_config = ConfigDict(from_attributes=True)


class Page(Output, Generic[Item]):
    """A list: its items, and the cursor that asks for the next ones."""

    items: list[Item]
    next_cursor: str | None = Field(description="Send it as `?cursor=` for the next page; null at the end.")
