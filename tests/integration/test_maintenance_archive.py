"""Months past retention: every event is in the archive before its partition goes, wherever a run is broken off."""

import gzip
import json
import random
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from functions.maintenance.archive import archive_old_partitions, key_of, upload
from quintet import aws
from quintet.config import settings
from quintet.db.engine import owner_engine
from quintet.db.partitions import (
    MONTHS_KEPT,
    ensure_partitions,
    existing_partitions,
    month_start,
    partition_name,
    uuid_at,
)
from tests.support.people import person
from tests.support.statements import execute

NOW = datetime.now(UTC)
OLD = month_start(NOW, -MONTHS_KEPT - 1)
"""The youngest month that is not kept any more."""


def archive() -> dict[str, int]:
    """One run of the step."""
    return archive_old_partitions(lambda: True)


def tables() -> list[str]:
    """Every table of events, attached or not."""
    rows = execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^events_' ORDER BY 1")
    return [row.relname for row in rows]


def archived(month: datetime) -> list[dict[str, Any]]:
    """The events of the month's archive."""
    body = aws.s3().get_object(Bucket=settings().archive_bucket, Key=key_of(month))["Body"].read()
    return [json.loads(line) for line in gzip.decompress(body).splitlines()]


@pytest.fixture
def old_months(stack: object) -> Iterator[None]:
    """Partitions from two months past retention on, with the archive empty."""
    with owner_engine().begin() as connection:
        for back in (-MONTHS_KEPT - 2, -MONTHS_KEPT + 5):
            ensure_partitions(connection, month_start(NOW, back))
    s3, bucket = aws.s3(), settings().archive_bucket
    for version in s3.list_object_versions(Bucket=bucket).get("Versions", []):
        s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
    yield
    archive()


def fill(month: datetime, count: int) -> list[UUID]:
    """Events of that month, with awkward content."""
    chance = random.Random(count)
    ids = []
    for n in range(count):
        at = month + timedelta(days=chance.random() * 27)
        id = UUID(int=uuid_at(at).int | 7 << 76 | 2 << 62 | n)
        execute(
            "INSERT INTO events (id, at, actor_id, type, subject_type, subject_id, data, scope, ip, request_id) VALUES "
            "(%(id)s, %(at)s, %(actor)s, 'project.updated', 'project', %(actor)s, %(data)s, 'system', %(ip)s, NULL)",
            id=id,
            at=at,
            actor=uuid4(),
            data=json.dumps({"n": n, "text": 'line\nbreak, "quotes", \\back\\slash, \t, é, 日本, 🎈'}),
            ip="2001:db8::1" if n % 2 else None,
        )
        ids.append(id)
    return sorted(ids)


def test_given_a_month_past_retention_then_every_event_round_trips_and_the_partition_goes(old_months: None) -> None:
    # GIVEN events in the last month that is not kept and the first that is
    ids = fill(OLD, 50)
    kept = fill(month_start(OLD, 1), 3)
    columns = "id::text, transaction_id::text, at, actor_id::text, type, subject_type, subject_id::text, data, scope"
    rows = [row._asdict() for row in execute(f"SELECT {columns}, request_id FROM {partition_name(OLD)} ORDER BY id")]
    # WHEN they are archived
    done = archive()
    assert done[partition_name(OLD)] == 50
    # THEN each is there as it was but for where somebody was, in order
    stored = archived(OLD)
    assert [UUID(event["id"]) for event in stored] == ids
    for event, row in zip(stored, rows, strict=True):
        assert {**event, "at": datetime.fromisoformat(event["at"])} == row
    # THEN the partition is gone, the months that are kept are not, and both are readable
    with owner_engine().connect() as connection:
        present = existing_partitions(connection)
    assert min(present) == month_start(OLD, 1)
    assert len(execute("SELECT FROM events WHERE id = ANY(%(ids)s)", ids=kept)) == 3
    assert person("admin").get("/events", query=[("after", "start")]).status == 200
    assert archive() == {}
    execute("DELETE FROM events WHERE id = ANY(%(ids)s)", ids=kept)


def test_given_an_empty_month_then_its_archive_is_empty_and_it_goes(old_months: None) -> None:
    assert archive()[partition_name(OLD)] == 0
    assert archived(OLD) == []
    assert partition_name(OLD) not in tables()


def test_given_a_crash_after_detaching_then_the_next_run_finishes(old_months: None) -> None:
    ids = fill(OLD, 5)
    execute(f"ALTER TABLE events DETACH PARTITION {partition_name(OLD)}")
    assert archive()[partition_name(OLD)] == 5
    assert [UUID(event["id"]) for event in archived(OLD)] == ids
    assert partition_name(OLD) not in tables()


def test_given_a_crash_in_the_middle_of_detaching_then_the_next_run_finishes(old_months: None, stack: Any) -> None:
    name, ids = partition_name(OLD), fill(OLD, 5)
    # GIVEN a reader for whom the second of the two transactions of DETACH CONCURRENTLY waits, until it is broken off
    with psycopg.connect(stack.owner_url) as reader, psycopg.connect(stack.owner_url, autocommit=True) as run:
        reader.execute("SELECT count(*) FROM events")
        run.execute("SET statement_timeout = '500ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            run.execute(f"ALTER TABLE events DETACH PARTITION {name} CONCURRENTLY")
    assert execute("SELECT FROM pg_inherits WHERE inhdetachpending")
    # WHEN the next run comes THEN it finishes what was begun
    assert archive()[name] == 5
    assert [UUID(event["id"]) for event in archived(OLD)] == ids
    assert name not in tables()


def test_given_an_upload_that_fails_then_the_events_stay_and_the_next_run_archives_them(
    old_months: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fill(OLD, 5)
    monkeypatch.setenv("ARCHIVE_BUCKET", "quintet-nowhere")
    settings.cache_clear()
    with pytest.raises(Exception, match="NoSuchBucket"):
        archive()
    monkeypatch.undo()
    settings.cache_clear()
    assert len(execute("SELECT FROM events WHERE id = ANY(%(ids)s)", ids=ids)) == 5
    archive()
    assert [UUID(event["id"]) for event in archived(OLD)] == ids


def test_given_an_event_that_the_archive_lacks_then_the_partition_is_not_dropped(
    old_months: None, stack: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, ids = partition_name(OLD), fill(OLD, 5)
    # GIVEN an event that comes after the archive was written and before the partition is detached
    s3_upload = aws.s3().upload_fileobj

    def upload_then_write(content: Any, bucket: str, key: str, **options: Any) -> None:
        s3_upload(content, bucket, key, **options)
        if key != key_of(OLD):
            return
        with psycopg.connect(stack.owner_url, autocommit=True) as late:
            late.execute(
                f"INSERT INTO {name} (id, type, subject_type, data, scope) "
                "VALUES (%s, 'project.updated', 'project', '{}', 'system')",
                [UUID(int=ids[-1].int + 1)],
            )

    monkeypatch.setattr(aws.s3(), "upload_fileobj", upload_then_write)
    # WHEN it is archived THEN the counts differ, the table stays, and the run fails
    with pytest.raises(RuntimeError, match=f"{name} has 6 events, its archive 5"):
        archive()
    assert name in tables()
    monkeypatch.undo()
    # THEN the next run has all of them
    assert archive()[name] == 6
    assert len(archived(OLD)) == 6


def test_given_a_large_month_then_it_is_archived_in_bounded_memory(
    old_months: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # GIVEN 24 MB of events that do not compress to nothing
    name = partition_name(OLD)
    execute(
        f"INSERT INTO {name} (id, type, subject_type, data, scope) "
        "SELECT (%(prefix)s || lpad(to_hex(n), 12, '0'))::uuid, 'project.updated', 'project', "
        "jsonb_build_object('noise', (SELECT string_agg(md5(n::text || m::text), '') FROM generate_series(1, 60) m)), "
        "'system' FROM generate_series(1, 12000) n",
        prefix=str(uuid_at(OLD))[:14] + "7000-8000-",
    )
    # WHEN it is streamed out by the megabyte, the storage being a file outside of this process's memory
    megabyte = 1024 * 1024

    def store(content: Any, *_: Any, **__: Any) -> None:
        with (tmp_path / "object").open("wb") as stored:
            while read := content.read(megabyte):
                stored.write(read)

    monkeypatch.setattr(aws.s3(), "upload_fileobj", store)
    tracemalloc.start()
    try:
        upload(name, "key")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # THEN some of it is held at once: the rows of one fetch, and what is being read
    assert (tmp_path / "object").stat().st_size > 12 * megabyte
    assert peak < 6 * megabyte
    with gzip.open(tmp_path / "object") as lines:
        assert sum(1 for _ in lines) == 12_000
    # WHEN it goes to S3 for real, in several parts THEN all of it is there
    monkeypatch.undo()
    assert archive()[name] == 12_000
    assert len(archived(OLD)) == 12_000
