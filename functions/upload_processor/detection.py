"""A file's real type, from its first bytes (and a ZIP archive's last)."""

import codecs
import json
import re
from collections.abc import Callable
from itertools import chain

from functions.upload_processor.media_types import NAMES, TEXT, UNKNOWN, ZIP, canonical
from quintet.files.purposes import DOCX, PPTX, XLSX

FIRST = 64 * 1024
"""Bytes that are looked at, at the beginning and, of an archive, at the end."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "application/pdf"),
    (b"{\\rtf", "application/rtf"),
    (b"%!PS", "application/postscript"),
    (b"#!", "application/x-sh"),
    (b"MZ", "application/vnd.microsoft.portable-executable"),
    (b"\x7fELF", "application/x-executable"),
    (b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    (b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x1f\x8b\x08", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"Rar!\x1a\x07", "application/vnd.rar"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
)
"""What puremagic is vague about. Of text only the first four count: a table may begin with `MZ,`."""
_ALSO_TEXT = _SIGNATURES[:4]

_ARCHIVES = {
    "word/document.xml": DOCX,
    "xl/workbook.xml": XLSX,
    "xl/workbook.bin": "application/vnd.ms-excel.sheet.binary.macroenabled.12",
    "ppt/presentation.xml": PPTX,
    "AndroidManifest.xml": "application/vnd.android.package-archive",
    "META-INF/MANIFEST.MF": "application/java-archive",
}
"""The entry that tells what an archive is."""

_STATED = re.compile(rb"mimetype(application/(?:vnd\.oasis\.opendocument\.[a-z-]+|epub\+zip))")
"""OpenDocument and EPUB begin with an entry that says it (OpenDocument 1.3, part 2, section 3.3)."""

_ENTRY = re.compile(rb"PK\x01\x02.{24}(?P<length>..).{16}", re.DOTALL)
_LOCAL_ENTRY = re.compile(rb"PK\x03\x04.{22}(?P<length>..)..", re.DOTALL)
"""An entry of the central directory, and one before its content; the name follows (PKWARE APPNOTE 4.3)."""

_BINARY = re.compile(rb"[\x01-\x08\x0e-\x19\x1c-\x1f\x7f]")
"""Control characters that no text has, in any 8-bit or multi-byte encoding in use; but a stray NUL happens."""
_SHORT = 64
"""Bytes that are too few to tell UTF-16 by its zeros."""
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_BRANDS = {
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"hevc": "image/heic",
    b"mif1": "image/heif",
    b"msf1": "image/heif",
}
"""Kinds of ISO media files (ISO/IEC 14496-12, section 4.3); any other is a video."""
_ELEMENT = re.compile(r"<(?:\w+:)?(\w+)")
_HTML = frozenset({"html", "head", "title", "meta", "body", "script", "style", "iframe", "img", "form", "table"})
_CUT = 8
"""Characters of a JSON token that may be cut off: `false`, an escape."""
_SKIPPED = (("<!--", "-->"), ("<?", "?>"), ("<!", ">"))
"""What may stand before the first element."""


def detect(first: bytes, last: Callable[[], bytes], *, whole: bool) -> str:
    """The media type that the content shows; `application/octet-stream` when it shows none.

    `first` is the beginning (at most `FIRST` bytes), `whole` whether that is all; `last` gives the end on demand.
    """
    text = _as_text(first)
    if text is not None:
        return _signature(first, _ALSO_TEXT) or _detect_text(text, whole=whole)
    if first.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _detect_archive(first, first if whole else last())
    return _signature(first, _SIGNATURES) or _detect_binary(first)


def _signature(first: bytes, signatures: tuple[tuple[bytes, str], ...]) -> str | None:
    return next((media_type for beginning, media_type in signatures if first.startswith(beginning)), None)


def _as_text(first: bytes) -> str | None:
    """The bytes as text, or None. What is no UTF is read as cp1252: any 8-bit encoding shows the same markup."""
    for bom, encoding in _BOMS:
        if first.startswith(bom):
            try:  # incrementally: the last character may be cut in two
                text = codecs.getincrementaldecoder(encoding)().decode(first[len(bom) :])
            except UnicodeDecodeError:
                return None
            return None if text.count("\0") > max(1, len(text) // 100) else text
    even, odd = first[::2].count(0), first[1::2].count(0)
    if even + odd > len(first) // 100 and not (even + odd == 1 and _is_utf8(first)):
        # UTF-16 that does not say so: of usual text every other byte is zero.
        if len(first) < _SHORT or max(even, odd) < len(first) // 4 or min(even, odd) > len(first) // 100:
            return None
        return _as_text((_BOMS[1] if odd > even else _BOMS[2])[0] + first)
    if _BINARY.search(first.replace(b"\0", b"")):
        return None
    return first.decode("utf-8", "replace")


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _detect_text(text: str, *, whole: bool) -> str:
    text = text.lstrip()
    if text.startswith("<"):
        return _detect_markup(text)
    if text.startswith(("{", "[")):
        return "application/json" if _is_json(text, whole=whole) else TEXT
    return TEXT


def _is_json(text: str, *, whole: bool) -> bool:
    """Whether it is JSON, or its beginning: then what is wrong is wrong at the end, where it is cut off."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        cut = error.pos >= len(text.rstrip()) - _CUT or error.msg.startswith("Unterminated string")
        return cut and not whole
    except (ValueError, RecursionError):
        return not whole
    return True


def _detect_markup(text: str) -> str:
    otherwise = "application/xml" if text.startswith("<?xml") else TEXT
    while skipped := next((pair for pair in _SKIPPED if text.startswith(pair[0])), None):
        if text[:14].lower() == "<!doctype html":
            return "text/html"
        _, end, rest = text.partition(skipped[1])
        if not end:
            return otherwise
        text = rest.lstrip()
    root = element[1].lower() if (element := _ELEMENT.match(text)) else ""
    if root == "svg":
        return "image/svg+xml"
    return "text/html" if root in _HTML else otherwise


def _detect_archive(first: bytes, last: bytes) -> str:
    if stated := _STATED.match(first, 30):
        return stated[1].decode()
    names = set(chain(_names(_LOCAL_ENTRY, first), _names(_ENTRY, last)))
    return next((media_type for name, media_type in _ARCHIVES.items() if name in names), ZIP)


def _names(entry: re.Pattern[bytes], content: bytes) -> list[str]:
    return [
        content[found.end() : found.end() + int.from_bytes(found["length"], "little")].decode("utf-8", "replace")
        for found in entry.finditer(content)
    ]


def _detect_binary(first: bytes) -> str:
    """What an ISO media file says it is; else puremagic's best match, if it is a type we know."""
    if first[4:8] == b"ftyp":
        return _BRANDS.get(first[8:12], "video/mp4")

    import puremagic

    try:
        matches = puremagic.magic_string(first)
    except puremagic.PureError:
        return UNKNOWN
    known = (canonical(match.mime_type) for match in matches if len(match.byte_match) >= 4)
    return next((media_type for media_type in known if media_type in NAMES), UNKNOWN)
