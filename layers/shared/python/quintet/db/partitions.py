"""Monthly partitions of `events`, by range on the UUIDv7 id: its first 48 bits are the time in milliseconds."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

MONTHS_AHEAD = 6
MONTHS_KEPT = 13
"""Whole months besides the present one; older partitions are archived and dropped by `maintenance`."""

_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)


def month_start(at: datetime, months: int = 0) -> datetime:
    """The first instant of `at`'s month, moved by `months`."""
    index = at.year * 12 + at.month - 1 + months
    return datetime(index // 12, index % 12 + 1, 1, tzinfo=UTC)


def uuid_at(at: datetime) -> UUID:
    """The smallest UUID of that millisecond: every UUIDv7 made then or later is greater (RFC 9562)."""
    return UUID(int=max(0, (at - _EPOCH) // _MILLISECOND) << 80)


def time_of(id: UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond."""
    return _EPOCH + (id.int >> 80) * _MILLISECOND


def partition_name(month: datetime) -> str:
    """`events_2026_11` for November 2026."""
    return f"events_{month:%Y_%m}"


def ensure_partitions(connection: Connection, now: datetime | None = None) -> None:
    """Make the partitions of this month and the next `MONTHS_AHEAD` that are not there yet.

    `connection` is the owner's. Each is made beside the table and then attached, since making it in place would
    lock out every reader and writer. Nobody is granted anything on it: what a role may do to `events` it may do
    through `events` alone.
    """
    now = now or datetime.now(UTC)
    present = set(existing_partitions(connection))
    for ahead in range(MONTHS_AHEAD + 1):
        start, end = month_start(now, ahead), month_start(now, ahead + 1)
        if start in present:
            continue
        name = partition_name(start)
        for statement in (
            f"CREATE TABLE {name} (LIKE events INCLUDING ALL)",
            f"REVOKE ALL ON {name} FROM quintet_app",
            f"ALTER TABLE events ATTACH PARTITION {name} FOR VALUES FROM ('{uuid_at(start)}') TO ('{uuid_at(end)}')",
        ):
            connection.exec_driver_sql(statement)


def months_ahead(connection: Connection, now: datetime | None = None) -> int:
    """How many months after this one have a partition, without a gap; -1 when this one has none."""
    now = now or datetime.now(UTC)
    present = set(existing_partitions(connection))
    return next(ahead for ahead in range(len(present) + 1) if month_start(now, ahead) not in present) - 1


def existing_partitions(connection: Connection) -> list[datetime]:
    """The months that have a partition, oldest first."""
    names = connection.execute(
        text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER BY 1")
    ).scalars()
    return [month_of(name) for name in names]


def month_of(name: str) -> datetime:
    """The month of the partition with this name."""
    return datetime.strptime(name, "events_%Y_%m").replace(tzinfo=UTC)


def oldest_kept(now: datetime | None = None) -> datetime:
    """The month whose events are the oldest to be read; what is older is archived, or about to be."""
    return month_start(now or datetime.now(UTC), -MONTHS_KEPT)
