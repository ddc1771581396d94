"""What is in a cell, as text."""

from collections.abc import Callable, Mapping

from quintet.imports.tables import MAX_CELL
from quintet.imports.xlsx import values

_BOOLEANS = {"1": "TRUE", "true": "TRUE", "0": "FALSE", "false": "FALSE"}


class CellReader:
    """Reads cells of one workbook: with its shared strings, and its formats of numbers by style."""

    def __init__(self, string: Callable[[int], str], formats: Mapping[str, Callable[[str], str]]) -> None:
        self.string = string
        self._formats = formats

    def text(self, kind: str, style: str, stored: str) -> str:
        """The text of what is stored (elements `v` or `is`) in a cell with these attributes `t` and `s`.

        Raises ValueError, or IndexError when there is no such string.
        """
        if kind in ("str", "inlineStr"):
            return values.string(stored)
        stored = stored.strip()
        if not stored:
            return ""
        if len(stored) > MAX_CELL:
            raise ValueError(f"has more than {MAX_CELL:,} characters, which Excel cannot hold")
        if kind in ("", "n"):
            return self._formats.get(style, values.number)(stored)
        if kind == "s":
            if not (stored.isascii() and stored.isdigit() and len(stored) < 10):
                raise IndexError(stored)
            return self.string(int(stored))
        if kind == "b":
            return _BOOLEANS.get(stored, stored)
        return values.iso_date(stored) if kind == "d" else stored  # or an error, such as #N/A
