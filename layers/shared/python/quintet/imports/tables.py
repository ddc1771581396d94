"""What a table is, however it is written: rows with the line they begin on, as text."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, starmap
from sys import getsizeof
from typing import Any, BinaryIO, NamedTuple, Protocol

from quintet.files.purposes import XLSX

MAX_COLUMNS = 256
MAX_CELL = 32_767
"""Characters, as in Excel."""

_BLOCK_BYTES = 2 * 1024 * 1024


class UnreadableTableError(Exception):
    """The file as a whole cannot be read; the message says why, to whoever uploaded it."""


class Row(NamedTuple):
    """A row as it came. `problem` says why its cells cannot be told apart, if they cannot."""

    line: int
    cells: list[str]
    problem: str | None = None


def size_of(cells: list[str]) -> int:
    """Bytes of memory that cells take."""
    return sum(map(getsizeof, cells))


def next_rows(rows: Iterator[Row], most: int) -> list[Row]:
    """The next rows: `most` at most, and fewer when they are large, so that they take a few megabytes."""
    block, size = [], 0
    for row in islice(rows, most):
        block.append(row)
        size += size_of(row.cells)
        if size > _BLOCK_BYTES:
            break
    return block


class Table(Protocol):
    """An opened table."""

    @property
    def format(self) -> dict[str, Any]:
        """How it is written: `kind`, for text `encoding`, `delimiter`, `quote`, for a workbook `sheet`."""

    def __iter__(self) -> Iterator[Row]:
        """Its rows, once, the header among them; those without content are left out."""


@dataclass(slots=True)
class Workbook:
    """An Excel workbook: the first sheet whose beginning shows contacts, else the first with content."""

    source: BinaryIO
    sheet: str | None = None
    """The one that is read; known with its first row."""

    @property
    def format(self) -> dict[str, Any]:
        """How it is written."""
        return {"kind": "xlsx", "sheet": self.sheet}

    def __iter__(self) -> Iterator[Row]:
        """Its rows."""
        from quintet.imports.mapping import SAMPLE_ROWS, has_contacts
        from quintet.imports.xlsx import Rows, UnreadableWorkbookError, rows

        def wanted(name: str, found: Rows) -> bool:
            sample = next_rows(starmap(Row, found), SAMPLE_ROWS)
            contacts = bool(sample) and has_contacts(sample)
            if contacts or (sample and self.sheet is None):
                self.sheet = name
            return contacts

        try:
            for line, cells in rows(self.source, wanted):
                yield Row(line, cells)
        except UnreadableWorkbookError as error:
            raise UnreadableTableError(str(error)) from error


def open_table(source: BinaryIO, content_type: str | None) -> Table:
    """The table in `source`, a seekable binary file of this (detected) media type."""
    if content_type == XLSX:
        return Workbook(source)
    from quintet.imports.delimited import DelimitedText

    return DelimitedText(source)
