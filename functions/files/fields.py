"""What the bodies of folders and files share."""

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator

from quintet.http.schemas import text

Root = Literal["root"]
"""In a filter: in no folder."""

FILE_ALIASES = {"file_name": ("fileName", "name"), "project_id": ("projectId",), "folder_id": ("folderId",)}

_BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Turn the writing direction: `exe.gpj` would read as `jpg.exe`."""


def _name(value: str) -> str:
    if any(c in "/\\" for c in value) or value in (".", ".."):
        raise ValueError("a name has no / or \\ and is not . or ..")
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _BIDI for c in value):
        raise ValueError("a name has no control characters")
    if len(value.encode()) > 255:
        raise ValueError("a name has 255 bytes at most, in UTF-8")
    return value


Name = Annotated[str, text(255, min_length=1), AfterValidator(_name)]
