"""The rows of a worksheet."""

import re
from collections.abc import Iterator
from itertools import count, product
from string import ascii_uppercase

from quintet.imports.tables import MAX_CELL
from quintet.imports.xlsx.archive import Archive
from quintet.imports.xlsx.cells import CellReader
from quintet.imports.xlsx.errors import UnreadableWorkbookError, damaged
from quintet.imports.xlsx.markup import Attributes, Markup
from quintet.imports.xlsx.quick import resolved, stream

MAX_WIDTH = 1_000
"""Columns that may have content: a table of contacts has a dozen."""
MAX_ROWS = 1_048_576
"""Rows of a sheet, as in Excel."""

_REFERENCE = re.compile(r"([A-Z]{1,3})[0-9]{1,7}")
_ROW = re.compile(
    r"""
    <row\ r="(\d{1,7})"([^<>]*)>
    | <c\ r="([A-Z]{1,3})\d{1,7}"(?:\ s="(\d+)")?
      (?: />
        | \ t="s"><v>(\d{1,9})</v></c>
        | (?:\ t="(\w+)")?>
          (?:<f[^<>]*/>|<f[^<>]*>[^<]*</f>)?
          (?:<v>|<is><t(?:\ xml:space="preserve")?>)([^<]*)(?:</v>|</t></is>)
          </c>
      )
    | (</row>)
    | <  # anything else
    """,
    re.ASCII | re.VERBOSE,
)


def sheet_rows(archive: Archive, part: str, reader: CellReader) -> Iterator[tuple[int, list[str]]]:
    """The rows with content of the worksheet, by their lines; hidden ones too. Raises `UnreadableWorkbookError`."""
    blocks = archive.blocks(part)
    rows = _Rows(reader)
    markup = Markup(
        {
            "": ["worksheet"],
            "worksheet": ["sheetData"],
            "sheetData": ["row"],
            "row": ["c"],
            "c": ["v", "is"],
            "is": ["t", "r"],  # rPh, how a text is pronounced, is left out
            "r": ["t"],
        },
        opened={"row": rows.open_row, "c": rows.open_cell},
        closed={"row": rows.close_row, "c": rows.close_cell, "sheetData": rows.close},
        text={"v": rows.piece, "t": rows.piece},
    )
    for _ in stream(blocks, markup, parent="sheetData", child="row", read=rows.read):
        yield from rows.taken()
        if rows.closed:
            break
    for _ in blocks:  # to its end, where the checksum is
        pass


class _Rows:
    """Rows of a sheet as they become complete."""

    def __init__(self, reader: CellReader) -> None:
        self.closed = False
        self._reader = reader
        self._complete: list[tuple[int, list[str]]] = []
        self._line = 0
        self._cells: list[str] = []
        self._column = -1
        self._kind = self._style = ""
        self._pieces: list[str] = []
        self._length = 0

    def taken(self) -> list[tuple[int, list[str]]]:
        """The rows since the last call."""
        rows, self._complete = self._complete, []
        return rows

    def read(self, text: str) -> bool:
        """Read whole rows written in the usual way, or leave them."""
        rows: list[tuple[int, list[str]]] = []
        line = self._line
        cells: list[str] | None = None
        string, text_of = self._reader.string, self._reader.text
        try:
            for number, attributes, column, style, index, kind, stored, end in _ROW.findall(text):
                if column:
                    if cells is None:
                        return False
                    if index:
                        content = string(int(index))
                    elif stored:
                        content = text_of(kind, style, resolved(stored) if "&" in stored else stored)
                    else:
                        continue
                    if content:
                        at, width = _COLUMNS[column], len(cells)
                        if at != width:
                            if at < width:
                                return False
                            cells += [""] * (at - width)
                        cells.append(content)
                elif end:
                    if cells is None:
                        return False
                    if cells:
                        rows.append((line, cells))
                    cells = None
                elif number:
                    if cells is not None or not line < int(number) <= MAX_ROWS:
                        return False
                    line = int(number)
                    if not attributes.endswith("/"):
                        cells = []
                else:
                    return False
        except (LookupError, ValueError):  # let expat come to it, and say what is wrong
            return False
        if cells is not None:
            return False
        self._line = line
        self._complete += rows
        return True

    def open_row(self, attributes: Attributes) -> None:
        """A row begins, on the line it says or the one after the last."""
        stored = attributes.get("r", str(self._line + 1)).strip()
        line = int(stored) if stored.isascii() and stored.isdigit() and len(stored) < 10 else 0
        if line > MAX_ROWS:
            raise damaged(f"a sheet has more than {MAX_ROWS:,} rows")
        if line <= self._line:
            raise damaged(f"the row after row {self._line} has the number {stored[:20]}")
        self._line, self._cells, self._column = line, [], -1

    def open_cell(self, attributes: Attributes) -> None:
        """A cell begins, in the column it says or the one after the last."""
        self._column += 1
        if (stored := attributes.get("r")) is not None:
            reference = _REFERENCE.fullmatch(stored.strip().upper())
            if reference is None:
                raise damaged(f"in row {self._line}, a cell has the address {stored[:20]}")
            self._column = _number(reference[1])
        self._kind, self._style = attributes.get("t", ""), attributes.get("s", "")
        self._pieces.clear()
        self._length = 0

    def piece(self, text: str) -> None:
        """Some of what is stored in the cell."""
        self._length += len(text)
        if self._length > 7 * MAX_CELL:  # even if all is escaped
            raise damaged(f"{self._here()} has more than {MAX_CELL:,} characters, which Excel cannot hold")
        self._pieces.append(text)

    def close_cell(self) -> None:
        """The cell is complete."""
        try:
            content = self._reader.text(self._kind, self._style, "".join(self._pieces))
        except IndexError as error:
            raise damaged(f"{self._here()} has a text that is missing") from error
        except ValueError as error:
            raise damaged(f"{self._here()} {error}") from error
        if not content:
            return
        if self._column >= MAX_WIDTH:
            raise UnreadableWorkbookError(
                f"{self._here().capitalize()} is beyond the {MAX_WIDTH:,} columns that a table may have here."
            )
        if self._column < len(self._cells):
            raise damaged(f"{self._here()} comes after cells to the right of it, or twice")
        self._cells += [""] * (self._column - len(self._cells))
        self._cells.append(content)

    def close_row(self) -> None:
        """The row is complete."""
        if self._cells:
            self._complete.append((self._line, self._cells))

    def close(self) -> None:
        """There are no more rows."""
        self.closed = True

    def _here(self) -> str:
        return f"the cell in row {self._line}, column {self._column + 1:,}"


def _number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


_LETTERS = ("".join(letters) for width in count(1) for letters in product(ascii_uppercase, repeat=width))
_COLUMNS = dict(zip(_LETTERS, range(MAX_WIDTH), strict=False))
