"""Monthly partitions of `events`, by range on the UUIDv7 id: its first 48 bits are the time in milliseconds."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection, text

MONTHS_AHEAD = 6
MONTHS_KEPT = 13
"""Whole months besides the present one; older partitions are archived and dropped by `maintenance`."""


def month_start(at: datetime, months: int = 0) -> datetime:
    """The first instant of `at`'s month, moved by `months`."""
    index = at.year * 12 + at.month - 1 + months
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC)


def uuid_at(at: datetime) -> UUID:
    """The smallest UUID of that millisecond: every UUIDv7 made then or later is greater (RFC 9562)."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def time_of(id: UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond."""
    return datetime.fromtimestamp((id.int >> 80) / 1000, tz=UTC)


def partition_name(month: datetime) -> str:
    """`events_2026_11` for November 2026."""
    return f"events_{month:%Y_%m}"


def ensure_partitions(connection: Connection, now: datetime | None = None) -> None:
    """Make the partitions of this month and the next `MONTHS_AHEAD` that are not there yet.

    `connection` is the owner's.
    """
    now = now or datetime.now(UTC)
    for ahead in range(MONTHS_AHEAD + 1):
        start, end = month_start(now, ahead), month_start(now, ahead + 1)
        name = partition_name(start)
        connection.execute(
            text(
                f"CREATE TABLE IF NOT EXISTS {name} PARTITION OF events "
                f"FOR VALUES FROM ('{uuid_at(start)}') TO ('{uuid_at(end)}')"
            )
        )


def existing_partitions(connection: Connection) -> list[datetime]:
    """The months that have a partition, oldest first."""
    names = connection.execute(
        text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER BY 1")
    ).scalars()
    return [datetime.strptime(name, "events_%Y_%m").replace(tzinfo=UTC) for name in names]
