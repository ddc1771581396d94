"""The feed gives every event once and in order, however transactions interleave. Real connections throughout."""

import random
import re
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from quintet.db.engine import engine, owner_engine
from quintet.db.partitions import ensure_partitions, month_start, oldest_kept, partition_name, uuid_at
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.feed.position import LONGEST_TRANSACTION, Position
from tests.support.api import Api
from tests.support.people import person


@pytest.fixture
def reader(stack: object) -> Api:
    """Somebody whose account events are written to."""
    return person()


def write(session: Session, reader: Api) -> UUID:
    """Record one event that `reader` may read, in the session's transaction."""
    return record(session, EventType.ACCOUNT_UPDATED, subject=reader.id, scope=scope_of("user", reader.id))


def read(reader: Api, after: str, *, limit: int = 100) -> tuple[list[UUID], str]:
    """The ids that come next, and the cursor behind them."""
    answer = reader.get("/events", query=[("after", after), ("limit", str(limit))])
    assert answer.status == 200, answer
    page = answer.json()
    return [UUID(item["id"]) for item in page["items"]], page["next_cursor"]


def in_order(reader: Api) -> list[UUID]:
    """All events of the reader by position, when nobody writes any more."""
    with owner_engine().connect() as connection:
        return list(
            connection.exec_driver_sql(
                "SELECT id FROM events WHERE scope = %(scope)s ORDER BY transaction_id, id",
                {"scope": f"user:{reader.id}"},
            ).scalars()
        )


def newer_ids(reader: Api, after: UUID) -> list[UUID]:
    """What a cursor on the id alone would give: the control that shows what the position is for."""
    with owner_engine().connect() as connection:
        return list(
            connection.exec_driver_sql(
                "SELECT id FROM events WHERE scope = %(scope)s AND id > %(after)s "
                "AND transaction_id < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY id",
                {"scope": f"user:{reader.id}", "after": after},
            ).scalars()
        )


def test_given_a_writer_that_commits_late_when_a_reader_pages_past_it_then_it_is_not_skipped(reader: Api) -> None:
    _, cursor = read(reader, "latest")
    with Session(engine()) as late, Session(engine()) as quick:
        # GIVEN a transaction that wrote an event and stays open while another, begun later, commits
        slow = write(late, reader)
        fast = write(quick, reader)
        quick.commit()
        assert slow < fast
        # WHEN a reader asks meanwhile THEN it is held back: nothing yet, and the cursor is before both
        items, cursor = read(reader, cursor)
        assert items == []
        # WHEN the late one commits THEN both come, in the order of their transactions
        late.commit()
        items, cursor = read(reader, cursor)
        assert items == [slow, fast]
        assert read(reader, cursor)[0] == []


def test_given_an_old_transaction_that_writes_last_then_a_cursor_on_the_id_skips_and_the_position_does_not(
    reader: Api,
) -> None:
    _, cursor = read(reader, "latest")
    with Session(engine()) as first, Session(engine()) as second:
        # GIVEN a transaction that is the older one, but whose event has the newer id
        first.connection().exec_driver_sql("SELECT pg_current_xact_id()")
        older_id = write(second, reader)
        newer_id = write(first, reader)
        # WHEN it commits first, and everybody reads below the oldest open transaction
        first.commit()
        by_id = newer_ids(reader, UUID(int=0))
        by_position, cursor = read(reader, cursor)
        assert by_id == by_position == [newer_id]
        second.commit()
        # THEN the reader by id has lost the other one for ever; the reader by position gets it
        assert newer_ids(reader, by_id[-1]) == []
        assert older_id < newer_id
        assert read(reader, cursor)[0] == [older_id]


def test_given_a_transaction_that_is_rolled_back_then_it_holds_nobody_back_any_more(reader: Api) -> None:
    _, cursor = read(reader, "latest")
    with Session(engine()) as lost, Session(engine()) as kept:
        write(lost, reader)
        there = write(kept, reader)
        kept.commit()
        assert read(reader, cursor)[0] == []
        lost.rollback()
        assert read(reader, cursor)[0] == [there]


STEPS = st.lists(st.tuples(st.sampled_from(["write", "write", "commit", "rollback", "read"]), st.integers(0, 3)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, limit=st.integers(1, 5))
def test_given_any_interleaving_of_writers_and_a_reader_then_every_event_comes_once_and_in_order(
    stack: object, steps: list[tuple[str, int]], limit: int
) -> None:
    reader = person()
    _, cursor = read(reader, "latest")
    writers = [Session(engine()) for _ in range(4)]
    seen: list[UUID] = []

    def catch_up() -> None:
        nonlocal cursor, seen
        items, cursor = read(reader, cursor, limit=limit)
        seen += items

    try:
        for step, n in steps:
            match step:
                case "write":
                    write(writers[n], reader)
                case "read":
                    catch_up()
                case _:
                    getattr(writers[n], step)()
        for writer in writers:
            writer.commit()
    finally:
        for writer in writers:
            writer.close()
    expected = in_order(reader)
    while len(seen) < len(expected):
        before = len(seen)
        catch_up()
        assert len(seen) > before
    assert seen == expected
    assert read(reader, cursor)[0] == []


def test_given_writers_in_threads_and_a_reader_meanwhile_then_every_event_comes_once_and_in_order(reader: Api) -> None:
    _, cursor = read(reader, "latest")
    seen: list[UUID] = []
    written: list[UUID] = []

    def keep_writing(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(40):
            with Session(engine()) as session:
                ids = [write(session, reader) for _ in range(chance.randint(1, 3))]
                time.sleep(chance.random() / 200)
                if chance.random() < 0.2:
                    session.rollback()
                else:
                    session.commit()
                    written.extend(ids)

    threads = [threading.Thread(target=keep_writing, args=(seed,)) for seed in range(5)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        items, cursor = read(reader, cursor, limit=7)
        seen += items
    while items := read(reader, cursor)[0]:
        seen += items
        cursor = read(reader, cursor)[1]
    assert len(written) > 100
    assert sorted(seen) == sorted(written)
    assert seen == in_order(reader)


# --- where to begin, and where it ends -------------------------------------------------------------------


def test_given_latest_then_only_what_happens_from_now_on_comes_and_there_is_always_a_cursor(reader: Api) -> None:
    with Session(engine()) as session:
        write(session, reader)
        session.commit()
    items, cursor = read(reader, "latest")
    assert items == []
    for _ in range(3):
        items, cursor = read(reader, cursor)
        assert items == []
        assert cursor
    with Session(engine()) as session:
        new = write(session, reader)
        session.commit()
    assert read(reader, cursor)[0] == [new]


def test_given_start_then_everything_that_is_kept_comes_page_by_page(reader: Api) -> None:
    with Session(engine()) as session:
        ids = [write(session, reader) for _ in range(5)]
        session.commit()
    seen, cursor = [], "start"
    for _ in range(3):
        items, cursor = read(reader, cursor, limit=2)
        seen += items
    assert seen == ids


def test_given_a_cursor_past_retention_then_410_says_how_to_go_on(reader: Api) -> None:
    for at, status in ((oldest_kept() - timedelta(milliseconds=1), 410), (oldest_kept(), 200)):
        answer = reader.get("/events", query=[("after", str(Position(1, uuid_at(at))))])
        assert answer.status == status, answer
    gone = reader.get("/events", query=[("after", str(Position(1, uuid_at(datetime(2020, 1, 1, tzinfo=UTC)))))])
    assert gone.json()["next"] == {"rel": "start", "href": "/api/v1/events?after=start"}
    href = gone.json()["next"]["href"].partition("?")
    assert reader.get(href[0], query=[("after", "start")]).status == 200


def test_given_a_cursor_of_a_database_that_was_restored_from_a_backup_then_410_rather_than_silence(reader: Api) -> None:
    _, cursor = read(reader, "latest")
    raw = urlsafe_b64decode(cursor)
    ahead = (int.from_bytes(raw[:8]) + 1_000_000).to_bytes(8) + raw[8:]
    assert reader.get("/events", query=[("after", urlsafe_b64encode(ahead).decode())]).status == 410


def test_given_a_filter_then_the_feed_gives_what_matches_and_moves_on(reader: Api) -> None:
    _, cursor = read(reader, "latest")
    with Session(engine()) as session:
        write(session, reader)
        session.commit()
    query = [("after", cursor), ("type", "project.created")]
    answer = reader.get("/events", query=query).json()
    assert answer["items"] == []
    assert read(reader, answer["next_cursor"])[0] == []


# --- partitions ------------------------------------------------------------------------------------------


@contextmanager
def explained() -> Iterator[list[str]]:
    """The plans of the statements on events that are sent while inside."""
    plans: list[str] = []
    execute = psycopg.Cursor.execute

    def explaining(cursor: Any, query: Any, params: Any = None, **options: Any) -> Any:
        if "FROM events e" in query:
            plan = execute(psycopg.Cursor(cursor.connection), "EXPLAIN (COSTS OFF) " + query, params)
            plans.append("\n".join(row[0] for row in plan))
        return execute(cursor, query, params, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", explaining)
        yield plans


def touched(plan: str) -> set[str]:
    """The partitions a plan looks at."""
    return set(re.findall(r"\bon (events_\d{4}_\d\d)\b", plan))


def months(first: datetime, last: datetime) -> set[str]:
    """The partitions of these months."""
    names, month = set(), month_start(first)
    while month <= last:
        names.add(partition_name(month))
        month = month_start(month, 1)
    return names


def test_given_a_cursor_or_a_time_then_only_the_months_it_needs_are_looked_at(reader: Api) -> None:
    # GIVEN a year of partitions
    now = datetime.now(UTC)
    with owner_engine().begin() as connection:
        for back in (-13, -6):
            ensure_partitions(connection, month_start(now, back))
    ahead = month_start(now, 1)

    def planned(*query: tuple[str, str]) -> set[str]:
        with explained() as plans:
            assert reader.get("/events", query=list(query)).status == 200
        (plan,) = plans
        assert "Seq Scan on events" not in plan
        return touched(plan)

    # WHEN reading on from now THEN this month and the next (should our clock be behind) are looked at
    _, cursor = read(reader, "latest")
    assert planned(("after", cursor)) <= months(now - LONGEST_TRANSACTION, ahead)
    # WHEN reading on from last summer THEN nothing before it is
    old = month_start(now, -4) + timedelta(days=10)
    assert planned(("after", str(Position(1, uuid_at(old))))) == months(old, ahead)
    # WHEN a month of the audit trail is asked for THEN it alone is
    first, last = month_start(now, -9) + timedelta(days=2), month_start(now, -9) + timedelta(days=20)
    named = planned(("from", first.isoformat()), ("to", last.isoformat()))
    assert named == {partition_name(first)}
    assert len(planned()) > 12
