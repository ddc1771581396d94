"""Excel workbooks (.xlsx: ECMA-376, ISO/IEC 29500, transitional and strict), streamed in constant memory."""

from collections.abc import Callable, Iterator
from typing import BinaryIO

from quintet.imports.xlsx.archive import Archive
from quintet.imports.xlsx.cells import CellReader
from quintet.imports.xlsx.errors import UnreadableWorkbookError
from quintet.imports.xlsx.parts import parts_of
from quintet.imports.xlsx.sheet import sheet_rows
from quintet.imports.xlsx.strings import SharedStrings
from quintet.imports.xlsx.styles import number_formats

__all__ = ["UnreadableWorkbookError", "rows"]


Rows = Iterator[tuple[int, list[str]]]


def _any(name: str, rows: Rows) -> bool:
    return next(rows, None) is not None


def rows(source: BinaryIO, wanted: Callable[[str, Rows], bool] = _any) -> Rows:
    """The rows with content of a sheet: their line as Excel shows it, and their cells.

    It is the first visible sheet that is `wanted`, by its name and rows; else the first that has rows.

    A cell is text: numbers without exponent where that is readable, dates and times in ISO 8601, `TRUE` and `FALSE`,
    errors as `#N/A`, a formula as the value it had when it was saved. Rows end with their last cell that is not empty.
    Of merged cells the first one has the value, as Excel stores it.

    What is wrong with a workbook may show only after its first rows: a checksum stands at the end.

    Raises `UnreadableWorkbookError`; and what reading `source` raises, unless that is an `OSError`, which `zipfile`
    takes for a broken archive.
    """
    archive = Archive(source)
    parts = parts_of(archive)
    formats = number_formats(archive, parts.styles, date1904=parts.date1904)
    with SharedStrings(archive, parts.strings) as strings:
        reader = CellReader(strings.get, formats)
        for test in (wanted, _any):
            for name, part in parts.sheets:
                if test(name, sheet_rows(archive, part, reader)):
                    yield from sheet_rows(archive, part, reader)
                    return
