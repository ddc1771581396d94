"""Where a reader of the feed is.

Transactions commit in another order than they begin, so an id alone is no position: whoever has read up to the newest
id never sees the older one that commits after. `(transaction_id, id)` is one, among rows whose transaction is older
than every open one: those are all there.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from quintet.db.partitions import oldest_kept, time_of, uuid_at
from quintet.errors import BadRequest, Gone

LATEST, START = "latest", "start"

LONGEST_TRANSACTION = timedelta(hours=1)
"""What comes after a position was written at most so long before it; the role's timeouts end a transaction sooner."""


@dataclass(frozen=True, slots=True)
class Position:
    """Everything up to here has been read. `id`, that of an event or of a moment, tells which months are over."""

    transaction_id: int
    id: UUID

    @classmethod
    def parse(cls, after: str) -> Self:
        """What `?after=` means, but for `latest`; 400 when it is none of ours, 410 when it is past retention."""
        if after == START:
            return cls(0, uuid_at(oldest_kept()))
        try:
            raw = base64.b64decode(after, altchars=b"-_", validate=True)
            position = cls(int.from_bytes(raw[:8]), UUID(bytes=raw[8:]))
            written = position.at
        except (ValueError, OverflowError, binascii.Error):
            raise BadRequest.at(
                "query/after", f"Send `{START}`, `{LATEST}`, or the next_cursor of an earlier answer, as it was."
            ) from None
        if written < oldest_kept():
            raise too_old()
        return position

    def __str__(self) -> str:
        """The cursor: 24 bytes in URL-safe base64 (RFC 4648). Unsigned, since SQL authorises every row."""
        return base64.urlsafe_b64encode(self.transaction_id.to_bytes(8) + self.id.bytes).decode()

    @property
    def at(self) -> datetime:
        """When it was, to the millisecond."""
        return time_of(self.id)

    @property
    def oldest_after(self) -> UUID:
        """The smallest id that what comes after it can have."""
        return uuid_at(self.at - LONGEST_TRANSACTION)


def too_old() -> Gone:
    """The cursor is of no use any more: 410, and how to go on."""
    return Gone(
        "The events after this cursor are no longer all kept here. Begin again, and read what you hold anew.",
        next={"rel": "start", "href": f"/events?after={START}"},
    )
