"""How cells are formatted, as far as it decides what their numbers mean."""

import re
from collections.abc import Callable

from quintet.imports.xlsx import values
from quintet.imports.xlsx.archive import Archive
from quintet.imports.xlsx.errors import damaged
from quintet.imports.xlsx.markup import Attributes, Markup

Format = Callable[[str], str]

_MAX_PART = 64 * 1024**2
_MAX_STYLES = 65_536  # Excel: 65,490
_MAX_CODES = 5_000  # Excel: 250

# ECMA-376 part 1, 18.8.30; 27 to 36 and 50 to 58 are dates, some of them times, in East Asian editions.
_BUILT_IN = {
    **dict.fromkeys([*range(14, 18), *range(27, 32), *range(34, 37), *range(50, 59)], "yyyy-mm-dd"),
    **dict.fromkeys([*range(18, 22), 32, 33, 45, 47], "hh:mm:ss"),
    22: "yyyy-mm-dd hh:mm",
    46: "[h]:mm:ss",
}
_ELAPSED = re.compile(r"\[(?:h+|m+|s+)\]")
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[[^\]]*\]|general')
_ZEROS = re.compile(r"[-+() /]*(?:0[-+() /]*){2,}")


def number_formats(archive: Archive, part: str | None, *, date1904: bool) -> dict[str, Format]:
    """How to write the numbers of cells with a style (attribute `s`), where it is not simply as numbers."""
    if part is None or part not in archive:
        return {}
    codes: dict[int, str] = {}
    styles: list[int] = []

    def code(attributes: Attributes) -> None:
        codes[_id(attributes)] = attributes.get("formatCode", "")[:255]
        _bound(len(codes), _MAX_CODES)

    def style(attributes: Attributes) -> None:
        styles.append(_id(attributes))
        _bound(len(styles), _MAX_STYLES)

    tree = {"": ["styleSheet"], "styleSheet": ["numFmts", "cellXfs"], "numFmts": ["numFmt"], "cellXfs": ["xf"]}
    markup = Markup(tree, opened={"numFmt": code, "xf": style})
    for block in archive.blocks(part, limit=_MAX_PART):
        markup.feed(block)
    markup.feed(b"", last=True)
    formats = {id_: _format(code, date1904=date1904) for id_, code in {**_BUILT_IN, **codes}.items()}
    return {str(index): format_ for index, id_ in enumerate(styles) if (format_ := formats.get(id_))}


def _format(code: str, *, date1904: bool) -> Format | None:
    positive = code.lower().partition(";")[0]
    if _ELAPSED.search(positive):
        return values.elapsed
    plain, twelve_hours = re.subn("am/pm|a/p", "", _LITERAL.sub("", positive))
    if _ZEROS.fullmatch(plain):
        return values.padded(plain.count("0"))
    time = bool(twelve_hours) or "h" in plain or "s" in plain
    date = "y" in plain or "d" in plain or ("m" in plain and not time)  # beside hours or seconds, m is minutes
    return values.moment(date=date, time=time, date1904=date1904) if date or time else None


def _id(attributes: Attributes) -> int:
    stored = attributes.get("numFmtId", "0")
    return int(stored) if stored.isascii() and stored.isdigit() and len(stored) < 10 else 0


def _bound(count: int, most: int) -> None:
    if count > most:
        raise damaged("it has more styles than Excel allows")
