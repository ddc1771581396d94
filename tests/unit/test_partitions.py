"""Months, and the ids that begin in them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quintet.db.partitions import MONTHS_KEPT, month_of, month_start, oldest_kept, partition_name, time_of, uuid_at

moments = st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(moments, st.integers(-240, 240))
def test_given_any_time_then_its_month_holds_it_and_months_follow_each_other(at: datetime, by: int) -> None:
    start, end = month_start(at), month_start(at, 1)
    assert start <= at < end
    assert timedelta(days=28) <= end - start <= timedelta(days=31)
    assert month_start(month_start(at, by), -by) == start
    assert month_of(partition_name(start)) == start


@given(moments, st.binary(min_size=10, max_size=10))
def test_given_any_uuidv7_of_a_month_then_it_lies_between_the_months_bounds(at: datetime, random: bytes) -> None:
    # GIVEN an id made at that time, whatever its random part (RFC 9562, section 5.7)
    low = int.from_bytes(random) & ~(0xF << 76) & ~(0x3 << 62) | 7 << 76 | 2 << 62
    id = UUID(int=uuid_at(at).int | low)
    assert id.version == 7
    # THEN it is in its month's range, and tells its time to the millisecond
    assert uuid_at(month_start(at)) < id < uuid_at(month_start(at, 1))
    assert timedelta(0) <= at - time_of(id) < timedelta(milliseconds=1)


def test_given_a_time_before_1970_then_its_id_is_the_smallest() -> None:
    assert uuid_at(datetime(1, 1, 1, tzinfo=UTC)) == UUID(int=0)


@pytest.mark.parametrize(
    ("now", "oldest"),
    [((2026, 11, 20), (2025, 10, 1)), ((2026, 1, 31), (2024, 12, 1)), ((2027, 3, 1), (2026, 2, 1))],
)
def test_given_a_day_then_thirteen_whole_months_before_it_are_kept(
    now: tuple[int, int, int], oldest: tuple[int, int, int]
) -> None:
    assert MONTHS_KEPT == 13
    assert oldest_kept(datetime(*now, tzinfo=UTC)) == datetime(*oldest, tzinfo=UTC)


def test_given_the_database_then_it_makes_ids_that_we_can_read(stack: object) -> None:
    from quintet.db.engine import owner_engine
    from quintet.db.partitions import ensure_partitions, existing_partitions, months_ahead

    with owner_engine().begin() as connection:
        id, now = connection.exec_driver_sql("SELECT uuidv7(), clock_timestamp()").one()
        assert abs(time_of(id) - now) < timedelta(seconds=1)
        # Six months ahead are there already; asking again makes nothing.
        before = existing_partitions(connection)
        ensure_partitions(connection)
        assert existing_partitions(connection) == before
        assert months_ahead(connection) >= 6
        # A gap counts as the end: months behind it do not help when it comes.
        assert months_ahead(connection, month_start(before[-1], 1)) == -1
        # What the application may not do to the log it may not do to its parts either.
        privileges = connection.exec_driver_sql(
            "SELECT count(*) FROM information_schema.role_table_grants "
            "WHERE grantee = 'quintet_app' AND table_name ~ '^events_'"
        ).scalar_one()
        assert privileges == 0
