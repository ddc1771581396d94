"""The strings that cells share: a few in memory, many in an unnamed temporary file."""

import os
import re
import tempfile
from array import array
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from types import TracebackType
from typing import IO, Self

from quintet.imports.tables import MAX_CELL
from quintet.imports.xlsx import values
from quintet.imports.xlsx.archive import Archive
from quintet.imports.xlsx.errors import UnreadableWorkbookError, damaged
from quintet.imports.xlsx.markup import Attributes, Markup
from quintet.imports.xlsx.quick import resolved, stream

MAX_TEXT = 400 * 1024**2
"""Bytes of all strings. A function has a disk of 512 MB."""

_IN_MEMORY = 8 * 1024**2
"""Bytes that the strings may take before they go to the file, and those of the file that are kept at hand."""
_OBJECT = 64
"""Bytes, about, of a string without its characters."""
_BLOCK = 64
"""Strings read together: sheets mostly name them in their order."""
_PLAIN = re.compile(r'<si><t(?: xml:space="preserve")?>([^<]*)</t></si>')


class SharedStrings:
    """Strings by their number, to be read within its context."""

    def __init__(self, archive: Archive, part: str | None) -> None:
        """Read all of them from the part. Raises `UnreadableWorkbookError`."""
        self._open = ExitStack()
        self._kept: list[str] = []
        self._weight = 0
        self._spilled: _Spilled | None = None
        self._pieces: list[str] = []
        self._length = 0
        try:
            if part is not None and part in archive:
                self._read(archive, part)
        except BaseException:
            self._open.close()
            raise
        self.get = self._spilled.close_table(self._kept) if self._spilled else self._kept.__getitem__
        """The string of a number that is not negative. Raises IndexError."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._open.close()

    def _read(self, archive: Archive, part: str) -> None:
        markup = Markup(
            {"": ["sst"], "sst": ["si"], "si": ["t", "r"], "r": ["t"]},  # rPh, how a text is pronounced, is left out
            opened={"si": self._begin},
            closed={"si": self._end},
            text={"t": self._piece},
        )
        for _ in stream(archive.blocks(part), markup, parent="sst", child="si", read=self._plain):
            pass

    def _plain(self, text: str) -> bool:
        strings = _PLAIN.findall(text)
        if text.count("<") != 4 * len(strings):
            return False
        try:
            if "&" in text:
                strings = [resolved(string) if "&" in string else string for string in strings]
            if "_x" in text or max(map(len, strings), default=0) > MAX_CELL:
                strings = list(map(values.string, strings))
        except ValueError:
            return False
        self._add(strings)
        return True

    def _begin(self, _: Attributes) -> None:
        self._pieces.clear()
        self._length = 0

    def _piece(self, text: str) -> None:
        self._length += len(text)
        if self._length > 7 * MAX_CELL:  # even if all is escaped
            raise damaged(f"a cell has more than {MAX_CELL:,} characters, which Excel cannot hold")
        self._pieces.append(text)

    def _end(self) -> None:
        try:
            self._add([values.string("".join(self._pieces))])
        except ValueError as error:
            raise damaged(f"a cell {error}") from error

    def _add(self, strings: list[str]) -> None:
        self._kept += strings
        self._weight += sum(map(len, strings)) + _OBJECT * len(strings)
        if self._spilled is None and self._weight > _IN_MEMORY:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the others
            self._spilled = _Spilled(self._open.enter_context(file))
        if self._spilled and len(self._kept) >= _BLOCK:
            self._kept = self._spilled.add(self._kept)


class _Spilled:
    """Strings in a file, as blocks of UTF-8."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._ends = array("Q", [0])
        self._heaviest = 1

    def add(self, strings: list[str]) -> list[str]:
        """Write whole blocks; what is left over is handed back."""
        whole = len(strings) - len(strings) % _BLOCK
        for start in range(0, whole, _BLOCK):
            self._write(strings[start : start + _BLOCK])
        return strings[whole:]

    def close_table(self, last: list[str]) -> Callable[[int], str]:
        """Write the last block; what gives strings by their number."""
        if last:
            self._write(last)
        self._file.flush()
        descriptor, ends = self._file.fileno(), self._ends

        # So many blocks that even the largest ones do not take more memory than is meant for them.
        @lru_cache(maxsize=max(2, _IN_MEMORY // self._heaviest))
        def block(number: int) -> list[str]:
            return os.pread(descriptor, ends[number + 1] - ends[number], ends[number]).decode().split("\0")

        def get(number: int) -> str:
            return block(number // _BLOCK)[number % _BLOCK]

        return get

    def _write(self, strings: list[str]) -> None:
        data = "\0".join(strings).encode()  # XML has no NUL, and it cannot be escaped
        self._file.write(data)
        self._ends.append(self._ends[-1] + len(data))
        self._heaviest = max(self._heaviest, len(data) + _OBJECT * len(strings))
        if self._ends[-1] > MAX_TEXT:
            raise UnreadableWorkbookError(
                f"The workbook holds more than {MAX_TEXT // 1024**2} MB of text. Upload the table as CSV."
            )
