"""Keyset pages: `?limit=` and an opaque `?cursor=` that says after which row the page begins."""

import base64
import binascii
from dataclasses import dataclass
from uuid import UUID

from quintet.errors import BadRequest

_LAST = UUID(int=2**128 - 1)


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
        raise BadRequest.at(f"query/{parameter}", "Send a next_cursor of an earlier answer, as it was.") from None


def page_bytes(items: str | None, next_cursor: str | None) -> bytes:
    """The list object around items that are JSON already, comma-separated."""
    cursor = f'"{next_cursor}"' if next_cursor else "null"
    return f'{{"items":[{items or ""}],"next_cursor":{cursor}}}'.encode()
