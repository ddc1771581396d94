"""Keyset pages: `?limit=` and an opaque `?cursor=` that says after which row the page begins."""

import base64
import binascii
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from quintet.errors import BadRequest

PAGE_BYTES = 2_000_000
"""Of a page's items, but for the last. A function answers 6 MB at most, in a string where each quotation mark is
escaped once more."""

_LAST = UUID(int=2**128 - 1)
_BEST = (float("inf"), _LAST)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a list is asked for."""

    limit: int
    cursor: str | None = None

    @property
    def before(self) -> UUID:
        """The id all items are smaller than (newest first); 400 when the cursor is malformed."""
        return decode_cursor(self.cursor) if self.cursor else _LAST


def encode_cursor(last: UUID) -> str:
    """A cursor that begins after `last`. Unsigned: SQL authorises every row, so a forged one reveals nothing."""
    return base64.urlsafe_b64encode(last.bytes).rstrip(b"=").decode()


def decode_cursor(cursor: str, parameter: str = "cursor") -> UUID:
    """The id a cursor begins after; 400 when it is none of ours, naming the query's parameter."""
    try:
        return UUID(bytes=base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise _foreign(parameter) from None


def encode_rank(rank: float, id: UUID) -> str:
    """A cursor that begins after this rank (of 32 bits) and id. No row: that may be edited or deleted in between."""
    return base64.urlsafe_b64encode(struct.pack(">f", rank) + id.bytes).rstrip(b"=").decode()


def decode_rank(cursor: str | None) -> tuple[float, UUID]:
    """The rank and id that such a cursor begins after, before all without one; 400 when it is none of ours."""
    if not cursor:
        return _BEST
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        [rank] = struct.unpack(">f", raw[:4])
        return rank, UUID(bytes=raw[4:])
    except (ValueError, binascii.Error, struct.error):
        raise _foreign("cursor") from None


def fitting(items: Sequence[str]) -> int:
    """How many of these items, which are JSON already, fit into one answer: those that `PAGE_BYTES` have begun."""
    size = 0
    for before, item in enumerate(items):
        if size >= PAGE_BYTES:
            return before
        size += len(item.encode())
    return len(items)


def page_bytes(items: str | None, next_cursor: str | None) -> bytes:
    """The list object around items that are JSON already, comma-separated."""
    cursor = f'"{next_cursor}"' if next_cursor else "null"
    return f'{{"items":[{items or ""}],"next_cursor":{cursor}}}'.encode()


def _foreign(parameter: str) -> BadRequest:
    return BadRequest.at(f"query/{parameter}", "Send a next_cursor of an earlier answer, as it was.")
