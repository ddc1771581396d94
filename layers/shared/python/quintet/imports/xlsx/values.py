"""What is stored in cells, as text: numbers, dates, strings."""

import datetime as dt
import math
import re
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

from quintet.imports.tables import MAX_CELL

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[Ee][-+]?\d+)?", re.ASCII)
_ESCAPE = re.compile(r"_x(?!0000)([0-9A-Fa-f]{4})_")
_LAST_DAY = 2_958_465  # 9999-12-31
_SECONDS = 86_400


def string(stored: str) -> str:
    """A string with its escapes (`_x000D_`, ECMA-376 ST_Xstring) resolved. Raises ValueError when it is too long."""
    if "_x" in stored:
        stored = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), stored)
        # Characters beyond the first 65,536 are escaped as two surrogates; one alone is no text.
        stored = stored.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if len(stored) > MAX_CELL:
        raise ValueError(f"has more than {MAX_CELL:,} characters, which Excel cannot hold")
    return stored


def number(stored: str) -> str:
    """A number with up to 15 digits that count, and an exponent only where a person would write one.

    So `1.0` is 1 and `4.15551234E10` is 41555123400. What is no number stays as it is.
    """
    if len(stored) < 16 and stored.isdecimal() and stored.isascii() and stored[0] != "0":
        return stored
    if not _NUMBER.fullmatch(stored):
        return stored
    value = float(stored)
    if value == 0 or math.isinf(value):
        return stored if value else "0"
    digits = f"{value:.15g}"
    if "e" in digits:
        return f"{Decimal(digits):f}" if 1e-7 <= abs(value) < 1e21 else digits.upper()
    return digits


def padded(width: int) -> Callable[[str], str]:
    """Numbers in a format of zeros (`00000`): with leading ones, as postcodes and phone numbers have them."""

    def text(stored: str) -> str:
        digits = number(stored)
        return digits.zfill(width) if digits.isdecimal() else digits

    return text


def moment(*, date: bool, time: bool, date1904: bool) -> Callable[[str], str]:
    """Serial days as ISO 8601: date, time or both, as the number format has it.

    Days count from 1900, where Excel, as Lotus 1-2-3 did, knows a 29 February, or from 1904. What is no date in these
    systems stays a number.
    """

    def text(stored: str) -> str:
        seconds = _seconds(stored)
        if seconds is None:
            return number(stored)
        day, second = divmod(seconds, _SECONDS)
        if date1904:
            day += 1462
        if day > _LAST_DAY:
            return number(stored)
        clock = f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
        if day == 0 or (day == 1462 and date1904 and not date):
            return clock
        if time or not date:
            return f"{_date(day)}T{clock}"
        return _date(day)

    return text


def elapsed(stored: str) -> str:
    """A duration (`[h]:mm:ss`) in hours, of which there may be more than 24, minutes and seconds."""
    seconds = _seconds(stored)
    if seconds is None:
        return number(stored)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def iso_date(stored: str) -> str:
    """A date of the strict format, which is ISO 8601 as it is: with a time only if it has one."""
    return stored.removesuffix("Z").removesuffix(".000").removesuffix("T00:00:00")


def _seconds(stored: str) -> int | None:
    """Rounded: a serial day is a binary fraction, and 09:30 comes as 0.39583333333333331."""
    if not _NUMBER.fullmatch(stored):
        return None
    value = float(stored)
    return round(value * _SECONDS) if 0 <= value <= _LAST_DAY + 1 else None


@lru_cache(maxsize=1024)
def _date(day: int) -> str:
    """The date of a day in the 1900 system."""
    if day == 60:
        return "1900-02-29"
    return (dt.date(1899, 12, 30 if day > 60 else 31) + dt.timedelta(day)).isoformat()
