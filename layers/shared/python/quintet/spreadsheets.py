"""Cells of a CSV that a spreadsheet may open: none of them becomes a formula (OWASP, CSV Injection).

An apostrophe goes before what would begin one, also after each character that some spreadsheet separates cells by.
"""

import re

_BEGINNING = r"""(?:^|(?<=[,;\t\r\n"]))"""
_FORMULA = r"(?='*[^\S\t\r\n]*[=+\-@\t\r＝＋－＠])"  # noqa: RUF001
_FOUND, _NEUTRALISED = re.compile(_BEGINNING + _FORMULA), re.compile(f"{_BEGINNING}'{_FORMULA}")


def neutral(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula; `original` takes it back."""
    return _FOUND.sub("'", cell)


def original(cell: str) -> str:
    """A cell as it was before `neutral`."""
    return _NEUTRALISED.sub("", cell)
