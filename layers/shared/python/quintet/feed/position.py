"""Where a reader of the feed is.

Transactions commit in another order than they begin, so an id alone is no position: whoever has read up to the newest
id never sees the older one that commits after. `(transaction_id, id)` is one, among rows whose transaction is older
than every open one: those are all there.
"""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from quintet.db.partitions import oldest_kept, time_of, uuid_at
from quintet.errors import BadRequest, Gone

LATEST, START = "latest", "start"

_LENGTH = 32
"""Characters of a position."""

LONGEST_TRANSACTION = timedelta(hours=1)
"""What comes after a position was written at most so long before it; the role's timeouts end a transaction sooner."""


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to here has been read. `id`, that of an event or of a moment, tells which months are over."""

    transaction_id: int
    id: UUID

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position that was written so; ValueError or OverflowError when none was."""
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
        position = cls(int.from_bytes(raw[:8]), UUID(bytes=raw[8:]))
        position.at  # noqa: B018  (not every id has a time)
        return position

    def __str__(self) -> str:
        """24 bytes in URL-safe base64 (RFC 4648)."""
        return base64.urlsafe_b64encode(self.transaction_id.to_bytes(8) + self.id.bytes).decode()

    @property
    def at(self) -> datetime:
        """When it was, to the millisecond."""
        return time_of(self.id)

    @property
    def oldest_after(self) -> UUID:
        """The smallest id that what comes after it can have."""
        return uuid_at(self.at - LONGEST_TRANSACTION)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where to read on: after `page`. Whoever reads what is held back by a late writer goes back to `keep` when there
    is no more; everybody else has one position. Unsigned, since SQL authorises every row."""

    keep: Position
    page: Position

    @classmethod
    def at(cls, position: Position) -> Self:
        """Everything up to there has been read."""
        return cls(position, position)

    @classmethod
    def parse(cls, after: str) -> Self:
        """What `?after=` means, but for `latest`; 400 when it is none of ours, 410 when it is past retention."""
        if after == START:
            return cls.at(Position(0, uuid_at(oldest_kept())))
        try:
            keep = Position.parse(after[:_LENGTH])
            page = Position.parse(after[_LENGTH:]) if len(after) > _LENGTH else keep
        except (ValueError, OverflowError):
            raise BadRequest.at(
                "query/after", f"Send `{START}`, `{LATEST}`, or the next_cursor of an earlier answer, as it was."
            ) from None
        if keep.at < oldest_kept():
            raise too_old()
        return cls(keep, page)

    def __str__(self) -> str:
        """`?after=`: one position, or both."""
        return str(self.keep) if self.keep == self.page else f"{self.keep}{self.page}"


def too_old() -> Gone:
    """The cursor is of no use any more: 410, and how to go on."""
    return Gone(
        "The events after this cursor are no longer all kept here. Begin again, and read what you hold anew.",
        next={"rel": "start", "href": f"/events?after={START}"},
    )
