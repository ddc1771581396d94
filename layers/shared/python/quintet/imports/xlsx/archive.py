"""The zip archive that a workbook is (Open Packaging Conventions, ECMA-376 part 2), within limits."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from quintet.imports.xlsx.errors import UnreadableWorkbookError, damaged

MAX_INFLATED = 4 * 1024**3
"""Bytes that all the parts read may have. A million rows of twenty cells have about one billion."""
MAX_RATIO = 200
"""Inflated to compressed size. Sheets of one and the same cell reach 25."""
FREE = 16 * 1024**2
"""Inflated bytes that nobody asks the ratio of."""

_BLOCK = 128 * 1024
_MAX_READ = 1024**2
_OLE = bytes.fromhex("D0CF11E0A1B11AE1")
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error)
"""What `zipfile` raises of archives made to break it."""
_BOMB = UnreadableWorkbookError(
    f"The workbook unpacks to far more than its size tells (over {MAX_RATIO} times as much, "
    f"or over {MAX_INFLATED // 1024**3} GiB), so it is not read. Upload the table as CSV."
)

_PROTECTED = UnreadableWorkbookError("The workbook is protected by a password. Save it without one and try again.")


class _Source:
    """The file, of which nobody reads much at once: `zipfile` would take a directory of any size into memory."""

    def __init__(self, source: BinaryIO) -> None:
        self.seek, self.tell, self.seekable = source.seek, source.tell, source.seekable
        self._read = source.read

    def read(self, size: int = -1) -> bytes:
        """As files do."""
        data = b"" if size > _MAX_READ else self._read(size if size >= 0 else _MAX_READ + 1)
        if max(size, len(data)) > _MAX_READ:
            raise zipfile.BadZipFile("its directory is too large")
        return data


class Archive:
    """Reads parts by name, whatever their case and slashes are."""

    def __init__(self, source: BinaryIO) -> None:
        """`source` is seekable. Raises `UnreadableWorkbookError` for what is no zip archive."""
        size = source.seek(0, 2)
        source.seek(0)
        _refuse_other_formats(source.read(8), source)
        try:
            self._zip = zipfile.ZipFile(_Source(source))
        except _DAMAGE as error:
            raise damaged("it is cut off, or not a whole .xlsx file") from error
        self._names = {_normal(info.filename): info for info in self._zip.infolist()}
        self._left = min(MAX_INFLATED, FREE + MAX_RATIO * size)

    def __contains__(self, name: str) -> bool:
        return _normal(name) in self._names

    def blocks(self, name: str, *, limit: int = MAX_INFLATED) -> Iterator[bytes]:
        """The content of a part, of `limit` bytes at most; its checksum is verified when the last block is taken."""
        info = self._names.get(_normal(name))
        if info is None:
            raise damaged(f"the part {name[:100]} is missing")
        if info.flag_bits & 0x1:
            raise _PROTECTED
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise damaged("it is compressed in a way that Excel does not know")
        allowed = min(limit, FREE + MAX_RATIO * info.compress_size, self._left)
        if info.file_size > allowed:
            raise _BOMB
        try:
            with self._zip.open(info) as part:
                while block := part.read(_BLOCK):
                    allowed -= len(block)
                    self._left -= len(block)
                    if allowed < 0:
                        raise _BOMB
                    yield block
        except _DAMAGE as error:
            raise damaged(f"its part {name[:100]} cannot be unpacked") from error


def _normal(name: str) -> str:
    return name.replace("\\", "/").lstrip("/").lower()


def _refuse_other_formats(magic: bytes, source: BinaryIO) -> None:
    if magic == _OLE:
        # Either the compound file that encryption makes of a workbook, or a workbook from before 2007.
        source.seek(0)
        header = source.read(512)
        if len(header) == 512:
            shift, first = struct.unpack_from("<H", header, 30)[0], struct.unpack_from("<I", header, 48)[0]
            source.seek((first + 1) << (12 if shift == 12 else 9))
        if _ENCRYPTED in source.read(64 * 1024):
            raise _PROTECTED
        raise UnreadableWorkbookError(
            "The file is in the format of Excel 97-2003 (.xls). Save it as an Excel workbook (.xlsx) and try again."
        )
    if not magic.startswith(b"PK"):
        raise UnreadableWorkbookError("The file is not an Excel workbook (.xlsx).")
