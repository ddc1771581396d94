"""Bodies of imports."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, PlainValidator, ValidationInfo, WithJsonSchema, field_validator

from quintet.db.models.campaigns import OnDuplicate, UploadStatus
from quintet.http.schemas import NO_NUL, Input, Output, Timestamp, text
from quintet.imports.fields import FIELDS, plain
from quintet.imports.tables import MAX_COLUMNS

MAX_NAME = 100


def _column(value: Any) -> str | int:
    """As a union, its errors would name pydantic's branches."""
    if isinstance(value, str) and 0 < len(name := value.strip()) <= MAX_NAME and "\0" not in name:
        return name
    if isinstance(value, int | float) and not isinstance(value, bool) and value in range(1, MAX_COLUMNS + 1):
        return int(value)
    raise ValueError(f"send a column's name, or its position from 1 to {MAX_COLUMNS}")


def _same(one: str | int, other: str | int | None) -> bool:
    if isinstance(one, str) and isinstance(other, str):
        return (plain(one) or one) == (plain(other) or other)
    return one == other


Column = Annotated[
    str | int,
    PlainValidator(_column),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": NO_NUL},
                {"type": "integer", "minimum": 1, "maximum": MAX_COLUMNS},
            ]
        }
    ),
]
"""A column by its name, or by its position from 1."""
Columns = Annotated[list[Column], Field(max_length=MAX_COLUMNS)]


class ImportMapping(Input):
    """Which column is which field, where the names do not tell. Columns are named, or counted from 1.

    What is not said is found out; null says that no column is the field.
    """

    email: Column | None = None
    phone: Column | None = None
    full_name: Column | None = None
    first_name: Column | None = None
    last_name: Column | None = None
    external_id: Column | None = None
    attributes: Columns | None = Field(None, description="The other columns to keep; all of them by default.")
    dates: Columns | None = Field(None, description="Columns that hold dates: checked, and kept as 2026-11-20.")
    header: bool | None = Field(None, description="Whether the first row names the columns; found out by default.")

    @field_validator(*FIELDS)
    @classmethod
    def _once(cls, column: str | int | None, info: ValidationInfo) -> str | int | None:
        for name, other in info.data.items():
            if name in FIELDS and column is not None and _same(column, other):
                raise ValueError(f"the column is given for {name} already")
        return column


class ImportCreate(Input):
    """An import of a file that is uploaded already, or is being uploaded, with the purpose `campaign_data`."""

    aliases = {"file_id": ("fileId",), "on_duplicate": ("onDuplicate",)}  # noqa: RUF012

    file_id: UUID
    on_duplicate: OnDuplicate = Field("skip", description="What becomes of contacts that the campaign has already.")
    mapping: ImportMapping | None = None


class UploadRead(Output):
    """An import. When it is processed, created + updated + duplicate + invalid = total."""

    id: UUID
    campaign_id: UUID
    file_id: UUID | None
    created_by: UUID
    status: UploadStatus
    reason: str | None = Field(description="Why it failed.")
    dry_run: bool = Field(description="Everything is checked and counted, and no contact is written.")
    on_duplicate: OnDuplicate
    percent: int
    rows_total: int = Field(description="Rows so far, the header not among them.")
    rows_created: int
    rows_updated: int
    rows_duplicate: int
    rows_invalid: int
    uploaded_at: Timestamp
    started_at: Timestamp | None
    processed_at: Timestamp | None
    version: int


class RowError(Output):
    """A row that was not taken."""

    line: int = Field(description="Where the row begins in the file, from 1.")
    reason: str


class ImportStatus(UploadRead):
    """An import and how it goes."""

    rows_per_second: float | None
    seconds_left: float | None
    errors: list[RowError] = Field(description="The first 20.")
    mapping: dict[str, Any] | None = Field(description="Field -> column, as asked for and as found.")
    table_format: dict[str, Any] | None = Field(description="How the file is written.")


class PreviewColumn(Output):
    """A column of the file."""

    name: str
    field: str | None = Field(description="The contact's field it becomes; null: an attribute.")


class Preview(Output):
    """What an import would make of a file's beginning."""

    file_id: UUID
    table_format: dict[str, Any]
    header: bool
    columns: list[PreviewColumn]
    rows: list[list[str]] = Field(description="The first ten, the header not among them.")


class ImportForm(Input):
    """An import of a small file that is sent along."""

    file: Annotated[str, WithJsonSchema({"type": "string", "format": "binary"})] = Field(
        description="CSV or an Excel workbook (.xlsx), 4 MB at most."
    )
    on_duplicate: OnDuplicate = "skip"
    mapping: Annotated[str, text(20_000)] | None = Field(None, description="An `ImportMapping`, as JSON.")
