"""Delimited text (CSV, RFC 4180, and everything else that goes by that name), in constant memory.

Encoding and delimiter are found out. A quote that nobody closes, a line without end or a cell of any size costs its
own row and no other.
"""

import codecs
import csv
import io
import re
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO

from quintet.imports.tables import MAX_CELL, Row, UnreadableTableError

MAX_LINE = 1024 * 1024
"""Bytes of a line; what comes after them is dropped."""
MAX_UNCLOSED = 1_000
"""Rows whose quotes are not closed, each of which costs reading some lines twice."""

_SAMPLE = 64 * 1024
_SAMPLE_ROWS = 100
_BLOCK = 256 * 1024
_DELIMITERS = ",;\t|"
_SAYS_SO = re.compile(r"sep=([^\w\s\"']|\t)\s*", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))

csv.field_size_limit(MAX_CELL)


def _cp1252(error: UnicodeError) -> tuple[str, int]:
    """Read as cp1252 what is not UTF-8: files are put together from others, so both may occur in one."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("quintet.cp1252", _cp1252)


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text is written."""

    encoding: str
    delimiter: str
    quote: str
    says_so: bool = False
    """Whether the first line tells the delimiter, as Excel writes it: `sep=;`."""


class DelimitedText:
    """A text whose rows are lines, mostly, and whose cells stand between delimiters."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        sample = source.read(_SAMPLE)
        source.seek(0)
        self.dialect = _detect(sample, whole=len(sample) < _SAMPLE)

    @property
    def format(self) -> dict[str, Any]:
        """How it is written."""
        dialect = self.dialect
        return {"kind": "csv", "encoding": dialect.encoding, "delimiter": dialect.delimiter, "quote": dialect.quote}

    def __iter__(self) -> Iterator[Row]:
        """Its rows."""
        read, again = [], deque[str]()  # the lines of the present row, and those to be looked at once more
        text, ended = self._text(), False

        def lines() -> Iterator[str]:
            nonlocal ended
            while True:
                while again:
                    read.append(again.popleft())
                    yield read[-1]
                for line in text:
                    read.append(line)
                    yield line
                    if again:
                        break
                else:
                    ended = True
                    return

        parser = csv.reader(lines(), delimiter=self.dialect.delimiter, quotechar=self.dialect.quote)
        line, width, unclosed = 1, 0, 0
        while True:
            problem = None
            try:
                cells = next(parser)
            except StopIteration:
                return
            except csv.Error:
                cells, problem = [], f"A cell is longer than {MAX_CELL:,} characters."
            if width <= 1:  # so far there are titles at most
                width = len(cells)
            if len(read) > 1 and (problem or ended or len(cells) != width):
                # A quote has swallowed lines that are rows of their own.
                unclosed += 1
                if unclosed > MAX_UNCLOSED:
                    raise UnreadableTableError(
                        f"More than {MAX_UNCLOSED:,} rows open a quote and never close it; the first ones are listed."
                    )
                again.extendleft(reversed(read[1:]))
                del read[1:]
                cells, problem, ended = [read[0].rstrip("\r\n")], "A quote is opened and not closed.", False
                parser = csv.reader(lines(), delimiter=self.dialect.delimiter, quotechar=self.dialect.quote)
            elif ended and len(read) == 1 and read[0].count(self.dialect.quote) % 2:
                cells, problem = [read[0].rstrip("\r\n")], "A quote is opened and not closed."
            elif problem:
                cells = [read[0][:MAX_CELL]]
            if (problem or any(cells)) and not (line == 1 and self.dialect.says_so):
                yield Row(line, cells, problem)
            line += len(read)
            read.clear()

    def _text(self) -> Iterator[str]:
        binary = io.BufferedReader(_BoundedLines(_as_utf8(self._source, self.dialect.encoding)), _BLOCK)
        return io.TextIOWrapper(binary, encoding="utf-8", errors="quintet.cp1252", newline="")


class _BoundedLines(io.RawIOBase):
    """Blocks of UTF-8 without what follows the first `MAX_LINE` bytes of a line."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest, self._since_end = blocks, memoryview(b""), 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes."""
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._rest = memoryview(self._cut(block))
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _cut(self, block: bytes) -> bytes:
        last = max(block.rfind(b"\n"), block.rfind(b"\r"))
        if self._since_end < MAX_LINE:  # and a block is shorter than a line may be
            self._since_end = len(block) - last - 1 if last >= 0 else self._since_end + len(block)
            return block
        ends = [at for at in (block.find(b"\n"), block.find(b"\r")) if at >= 0]
        if not ends:
            return b""
        self._since_end = len(block) - last - 1
        return block[min(ends) :]


def _as_utf8(source: BinaryIO, encoding: str) -> Iterator[bytes]:
    """The content in blocks of UTF-8, without its byte order mark."""
    bom = next((bom for bom, name in _BOMS if name == encoding), b"")
    first = source.read(_BLOCK)
    block = first.removeprefix(bom)
    if encoding in ("utf-8", "cp1252"):
        while block:
            yield block
            block = source.read(_BLOCK)
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    while block:
        # A lone surrogate is no Unicode text; replaced like other rubbish.
        yield decoder.decode(block).encode("utf-8", "replace")
        block = source.read(_BLOCK)


def _detect(sample: bytes, *, whole: bool) -> Dialect:
    encoding = _encoding(sample)
    text = sample.decode(encoding, "replace" if encoding != "utf-8" else "quintet.cp1252").removeprefix("\ufeff")
    lines = text.splitlines(keepends=True)
    if not whole and len(lines) > 1:
        del lines[-1]  # it is cut off
    if not any(line.strip() for line in lines):
        raise UnreadableTableError("The file has no rows.")
    quote = "'" if '"' not in text and _quoted_by_apostrophes(lines) else '"'
    if said := _SAYS_SO.fullmatch(lines[0]):
        return Dialect(encoding, said[1], quote, says_so=True)
    return Dialect(encoding, max(_DELIMITERS, key=lambda delimiter: _consistency(lines, delimiter, quote)), quote)


def _encoding(sample: bytes) -> str:
    for bom, encoding in _BOMS:
        if sample.startswith(bom):
            return encoding
    if sample[1::2].count(0) > len(sample) // 4:
        return "utf-16-le"
    if sample[::2].count(0) > len(sample) // 4:
        return "utf-16-be"
    try:  # incrementally: the last character may be cut in two
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8"


def _consistency(lines: list[str], delimiter: str, quote: str) -> tuple[float, int]:
    """How well the delimiter explains the lines: the share of rows of the usual width over 1, if there are any.

    Rows of width 1 are titles, of which there may be as many as other rows.
    """
    widths: Counter[int] = Counter()
    try:
        for cells in islice(csv.reader(lines, delimiter=delimiter, quotechar=quote), _SAMPLE_ROWS):
            if cells:
                widths[len(cells)] += 1
    except csv.Error:
        pass
    total = widths.total()
    del widths[1]
    width, count = widths.most_common(1)[0] if widths else (1, 0)
    return count / max(1, total), width


def _quoted_by_apostrophes(lines: list[str]) -> bool:
    cells = [cell for line in lines[:_SAMPLE_ROWS] for cell in line.strip().replace(";", ",").split(",") if cell]
    return sum(cell.startswith("'") and cell.endswith("'") and len(cell) > 1 for cell in cells) * 2 > len(cells)
