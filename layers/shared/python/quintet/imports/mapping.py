"""Which column is which field: found by the columns' names, or as the uploader says."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

from quintet.imports.fields import (
    ADDRESS,
    ALIKE,
    FIELDS,
    NUMBER,
    Field,
    by_content,
    by_name,
    is_alike,
    is_number,
    plain,
    without,
)
from quintet.imports.tables import MAX_COLUMNS, Row, Table, UnreadableTableError, next_rows
from quintet.spreadsheets import original

SAMPLE_ROWS = 50
"""How many rows show what the columns are."""

_INSTEAD: dict[Field, tuple[Field, ...]] = {
    "full_name": ("first_name", "last_name"),
    "first_name": ("full_name",),
    "last_name": ("full_name",),
}
"""What is not looked for where a field is asked for."""

OURS = ("line", "reason")
"""What a list of failed rows has in front: taken off when it comes back."""

_TITLES = 10
"""Among so many rows at the beginning the names of the columns are looked for; titles are above them."""


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """Positions of the fields' columns, of those that become attributes, and of those that hold dates.

    They are positions in a row as it first came: see `came`.
    """

    columns: tuple[str, ...]
    fields: Mapping[Field, int]
    attributes: Mapping[str, int]
    dates: frozenset[str] = field(default_factory=frozenset)
    header_row: int | None = 1
    """Which of the rows names the columns, from 1; those above are titles. None when none does."""
    ours: bool = False
    """Whether it is a list of failed rows that comes back, corrected."""

    def came(self, cells: list[str]) -> list[str]:
        """A row's cells as they first came: without what a list of failed rows has made of them."""
        return _came(cells) if self.ours else cells

    @property
    def has_header(self) -> bool:
        """Whether a row names the columns."""
        return self.header_row is not None

    def rows_from(self, sample: Sequence[Row]) -> Sequence[Row]:
        """Those of the sampled rows that are below the names."""
        return sample[self.header_row or 0 :]

    def described(self) -> dict[str, Any]:
        """It as JSON, by the columns' names."""
        return {
            "header": self.has_header,
            "header_row": self.header_row,
            "columns": list(self.columns),
            **{name: self.columns[at] for name, at in self.fields.items()},
            "attributes": [self.columns[at] for at in self.attributes.values()],
            "dates": sorted(self.dates),
        }


def map_columns(sample: Sequence[Row], asked: Mapping[str, Any] | None, *, lenient: bool = False) -> ColumnMap:
    """The mapping of a table that begins with `sample`.

    `asked` is what the uploader says: field -> name or position (from 1) of its column (None: no column is this field;
    what is not said is found out), `attributes`: the columns to keep (all others otherwise), `dates`: those that hold
    dates, `header`: whether a row names the columns; or what `ColumnMap.described` said, to which nothing is added.
    `lenient`: also when no column is found that a contact can be reached by.
    """
    asked = dict(asked or {})
    if ours := _is_ours(sample):
        sample = [row._replace(cells=_came(row.cells)) for row in sample]
    header_row = 1 if ours else _header_row(sample, asked)
    first = sample[header_row - 1] if header_row else sample[0]
    width = len(first.cells) if header_row else max(len(row.cells) for row in sample)
    if width > MAX_COLUMNS:
        raise UnreadableTableError(f"The table has {width:,} columns; {MAX_COLUMNS} are the most.")
    columns = _names(first.cells) if header_row else tuple(f"Column {n}" for n in range(1, width + 1))
    fields = _fields(columns, sample, asked, header_row)
    if "email" not in fields and "phone" not in fields and not lenient:
        raise UnreadableTableError(
            "No column has email addresses or telephone numbers, as far as the first row shows. "
            f"Say which in `mapping`; there are: {', '.join(columns)[:500]}."
        )
    if (wanted := asked.get("attributes")) is not None:
        kept = [_position(columns, column, "attributes") for column in wanted]
    else:
        kept = [at for at in range(len(columns)) if at not in fields.values()]
    attributes = {columns[at]: at for at in kept}
    dates = frozenset(columns[_position(columns, column, "dates")] for column in asked.get("dates") or ())
    return ColumnMap(columns, fields, {**attributes, **{d: columns.index(d) for d in dates}}, dates, header_row, ours)


def beginning(
    table: Table, known: Callable[[Sequence[Row]], Mapping[str, Any] | None], *, lenient: bool = False
) -> tuple[ColumnMap, Sequence[Row], Iterator[Row]]:
    """A table's columns, the first rows below their names, and an iterator over those that follow.

    `known` says, of the first rows, what `map_columns` is asked. Raises UnreadableTableError, which names the sheet.
    """
    rows = iter(table)
    sample = next_rows(rows, SAMPLE_ROWS)
    if not sample:
        raise UnreadableTableError("The file has no rows.")
    try:
        columns = map_columns(sample, known(sample), lenient=lenient)
    except UnreadableTableError as error:
        sheet = table.format.get("sheet")
        raise UnreadableTableError(f"{error} Read was the sheet {sheet!r}." if sheet else str(error)) from None
    return columns, columns.rows_from(sample), rows


def has_contacts(sample: Sequence[Row]) -> bool:
    """Whether a table that begins with these rows has, by itself, a column that somebody can be reached by."""
    try:
        map_columns(sample, None)
    except UnreadableTableError:
        return False
    return True


def returned(sample: Sequence[Row]) -> list[str] | None:
    """The columns' names if it is a list of failed rows that comes back: those of the table that it was made of."""
    return list(_names(_came(sample[0].cells))) if _is_ours(sample) else None


def _is_ours(sample: Sequence[Row]) -> bool:
    return [plain(cell) for cell in sample[0].cells[: len(OURS)]] == list(OURS)


def _came(cells: list[str]) -> list[str]:
    return [original(cell) for cell in cells[len(OURS) :]]


def _fields(
    columns: Sequence[str], sample: Sequence[Row], asked: Mapping[str, Any], header_row: int | None
) -> dict[Field, int]:
    """Those asked for, and those that are found beside them: by their names, by parts of those, by what is in them."""
    fields: dict[Field, int] = {}
    for name in FIELDS:
        if asked.get(name) is not None:
            at = _position(columns, asked[name], name)
            if other := next((other for other, taken in fields.items() if taken == at), None):
                raise UnreadableTableError(f"`mapping` gives the column {columns[at]!r} for `{other}` and `{name}`.")
            fields[name] = at
    if "header_row" in asked:
        return fields
    known = {*asked, *(other for name in fields for other in _INSTEAD.get(name, ()))}
    free = {at: column for at, column in enumerate(columns) if at not in fields.values()}
    if header_row:
        found = {name: at for name, at in by_name(columns).items() if name not in known and at in free}
        fields |= found
        fields |= by_content(sample[header_row:], without(free, fields), {*known, *fields}, alike=True)
    if {"email", "phone"}.isdisjoint(fields):
        fields |= by_content(sample[header_row or 0 :], without(free, fields), known)
    return fields


def _header_row(sample: Sequence[Row], asked: Mapping[str, Any]) -> int | None:
    """Which row names the columns: the first with a name for addresses or numbers, unless there are any above it."""
    if "header_row" in asked:
        known: int | None = asked["header_row"]
        return known
    if asked.get("header") is False:
        return None
    named = {plain(asked[name]) for name in FIELDS if isinstance(asked.get(name), str)}
    alike = None
    for number, row in enumerate(sample[:_TITLES], 1):
        names = {plain(cell) for cell in row.cells}
        if named <= names if named else not {"email", "phone"}.isdisjoint(by_name(row.cells)):
            return number
        if any(ADDRESS.fullmatch(cell.strip()) or is_number(cell.strip()) for cell in row.cells):
            break
        if alike is None and sum(map(bool, names)) > 1 and any(is_alike(f, cell) for f in ALIKE for cell in row.cells):
            alike = number
    return alike or (1 if asked.get("header") or _is_header(sample[0]) else None)


def _is_header(first: Row) -> bool:
    """Names are not addresses, numbers or blanks."""
    cells = [cell.strip() for cell in first.cells]
    if any(ADDRESS.fullmatch(cell) or NUMBER.fullmatch(cell) for cell in cells):
        return False
    return any(cells) and not any(cell.isdigit() for cell in cells)


def _names(cells: Sequence[str]) -> tuple[str, ...]:
    """The columns' names, each once: `Email`, `Email (2)`, and `Column 3` where there is none."""
    names: dict[str, None] = {}
    for number, cell in enumerate(cells, 1):
        name = " ".join(cell.replace("\0", "").split())[:100] or f"Column {number}"
        free = chain([name], (f"{name} ({n})" for n in count(2)))
        names[next(candidate for candidate in free if candidate not in names)] = None
    return tuple(names)


def _position(columns: Sequence[str], wanted: Any, name: str) -> int:
    """The column of this name (or of this position, from 1)."""
    if isinstance(wanted, int) and 1 <= wanted <= len(columns):
        return wanted - 1
    exact = [at for at, column in enumerate(columns) if column == wanted]
    alike = [at for at, column in enumerate(columns) if plain(column) == plain(str(wanted))]
    for found in (exact, alike):
        if found:
            return found[0]
    raise UnreadableTableError(
        f"There is no column {str(wanted)[:100]!r}, which `mapping` gives for `{name}`; "
        f"there are: {', '.join(columns)[:500]}."
    )
