"""From a row's cells to a contact: checked, normalised, and written as a line of PostgreSQL's COPY.

This runs once for every row of a million, so the usual row takes the short way through it.
"""

import json
import re
from collections.abc import Callable
from datetime import date

from quintet.imports.emails import parse_email
from quintet.imports.mapping import ColumnMap
from quintet.imports.phones import phone_parser

MAX_NAME = 200
MAX_ATTRIBUTES = 16_384
"""Characters of all attributes as JSON."""

COLUMNS = "external_id, full_name, email, phone, attributes"
"""What a line has, in this order."""

_SPECIAL = re.compile(r"[\\\x00-\x1f]")
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r", "\b": r"\b", "\f": r"\f", "\v": r"\v"})
_NULL = r"\N"

_TIME = r"(?:[T ].*)?"
_ISO = re.compile(rf"(\d{{4}})[-/.](\d\d?)[-/.](\d\d?){_TIME}")
_DOTS = re.compile(rf"(\d\d?)\.(\d\d?)\.(\d{{4}}){_TIME}")
_SLASHES = re.compile(rf"(\d\d?)[/-](\d\d?)[/-](\d{{4}}){_TIME}")
_MONTH_FIRST = frozenset({"US", "PH", "FM", "PW", "MH"})
"""Where 11/20/2026 is a date (Unicode CLDR)."""

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class InvalidRowError(ValueError):
    """A row that is not taken; the message says why, to whoever uploaded it."""


def line_maker(columns: ColumnMap, default_country: str | None) -> Callable[[list[str]], str]:
    """A function from cells to a line of COPY; it raises InvalidRowError for a row that is not to be taken."""
    width = len(columns.columns)
    fields = columns.fields
    email_at, phone_at = fields.get("email"), fields.get("phone")
    id_at = fields.get("external_id")
    name_at = [fields[name] for name in ("full_name", "first_name", "last_name") if name in fields]
    attributes = tuple(columns.attributes.items())
    dates = [(name, columns.attributes[name]) for name in columns.dates]
    parse_phone = phone_parser(default_country)
    day_first = default_country not in _MONTH_FIRST
    looked = ", ".join(columns.columns[at] for at in (email_at, phone_at) if at is not None)
    nobody = f"The row has neither an email address nor a telephone number (columns looked at: {looked})."
    special, ours, came = _SPECIAL.search, columns.ours, columns.came

    def make(cells: list[str]) -> str:
        if ours:
            cells = came(cells)
        if len(cells) != width:
            cells = _fitted(cells, width)
        if special("".join(cells)):
            cells = [_storable(cell) for cell in cells]
            escape = True
        else:
            escape = False
        email = phone = external_id = full_name = ""
        if email_at is not None and (email := cells[email_at].strip()):
            try:
                email = parse_email(email)
            except ValueError as error:
                raise InvalidRowError(f"Email: {error}") from None
        if phone_at is not None and (phone := cells[phone_at].strip()):
            try:
                phone = parse_phone(phone)
            except ValueError as error:
                raise InvalidRowError(f"Phone: {error}") from None
        if not email and not phone:
            raise InvalidRowError(nobody)
        if name_at:
            full_name = cells[name_at[0]].strip()
            for at in name_at[1:]:
                full_name = f"{full_name} {cells[at].strip()}".strip()
            if len(full_name) > MAX_NAME:
                raise InvalidRowError(f"The name is longer than {MAX_NAME} characters.")
        if id_at is not None and len(external_id := cells[id_at].strip()) > MAX_NAME:
            raise InvalidRowError(f"The id is longer than {MAX_NAME} characters.")
        kept = {name: value for name, at in attributes if (value := cells[at].strip())}
        for name, at in dates:
            if name in kept:
                kept[name] = _iso_date(name, cells[at].strip(), day_first)
        encoded = _encode(kept)
        if len(encoded) > MAX_ATTRIBUTES:
            raise InvalidRowError(f"The other columns hold more than {MAX_ATTRIBUTES:,} characters.")
        if "\\" in encoded:
            encoded = encoded.replace("\\", "\\\\")
        if escape:
            external_id, full_name = external_id.translate(_ESCAPES), full_name.translate(_ESCAPES)
        return f"{external_id or _NULL}\t{full_name or _NULL}\t{email or _NULL}\t{phone or _NULL}\t{encoded}\n"

    return make


def _fitted(cells: list[str], width: int) -> list[str]:
    """As many cells as columns: missing ones are empty, and more may only be empty."""
    if len(cells) > width and any(cell.strip() for cell in cells[width:]):
        raise InvalidRowError(f"The row has {len(cells)} cells; the table has {width} columns.")
    return cells[:width] + [""] * (width - len(cells))


def _storable(cell: str) -> str:
    if "\0" in cell:
        raise InvalidRowError("The row has a NUL character, which is not text.")
    return cell


def _iso_date(name: str, text: str, day_first: bool) -> str:
    if found := _ISO.fullmatch(text):
        year, month, day = found.groups()
    elif found := _DOTS.fullmatch(text):
        day, month, year = found.groups()
    elif found := _SLASHES.fullmatch(text):
        first, second, year = found.groups()
        day, month = (first, second) if day_first else (second, first)
    else:
        raise InvalidRowError(f"{name}: {text[:40]!r} is not a date; write it as 2026-11-20.")
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        raise InvalidRowError(f"{name}: there is no day {text[:40]!r}.") from None
