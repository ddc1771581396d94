"""The embedded PostgreSQL starts, stops, and outlives the hardest kill with its data."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from infra.local.postgres import Postgres, PostgresError, free_port

FAST = {"fsync": "off"}
HOLD = """
import sys, time
from pathlib import Path
from infra.local.postgres import Postgres
with Postgres(Path(sys.argv[1]), options={"fsync": "off"}) as postgres:
    print(postgres.owner_url, flush=True)
    time.sleep(600)
"""


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
        assert row is not None
        return int(row[0])


def keep_one(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (number int)")
        connection.execute("INSERT INTO kept VALUES (1)")


def holder(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """A process of its own that holds a server on `folder`, and the server's URL."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as output:
        return process, output.readline().strip()


def test_given_an_empty_folder_when_started_then_it_is_postgresql_18_with_our_database(tmp_path: Path) -> None:
    with Postgres(tmp_path / "data", options=FAST) as postgres, psycopg.connect(postgres.owner_url) as connection:
        row = connection.execute(
            "SELECT current_setting('server_version_num')::int, uuidv7()::text, current_database(), "
            "current_setting('TimeZone'), lower('ÄÖ'), current_setting('listen_addresses')"
        ).fetchone()
    assert row is not None
    assert row[0] >= 180000
    assert row[1][14] == "7"
    assert row[2:] == ("quintet", "UTC", "äö", "127.0.0.1")


def test_given_a_clean_stop_when_started_again_then_the_data_is_there(tmp_path: Path) -> None:
    with Postgres(tmp_path / "data", options=FAST) as postgres:
        keep_one(postgres.owner_url)
    with Postgres(tmp_path / "data", options=FAST) as postgres:
        assert count(postgres.owner_url) == 1


def test_given_its_holder_killed_when_started_at_once_then_the_leftover_is_replaced_and_data_kept(
    tmp_path: Path,
) -> None:
    # GIVEN a server whose holder dies by SIGKILL, with a client still connected
    process, url = holder(tmp_path / "data")
    keep_one(url)
    client = psycopg.connect(url)
    client.execute("SELECT 1")
    process.kill()
    process.wait()
    # WHEN another starts on the same folder, without waiting
    with Postgres(tmp_path / "data", options=FAST) as postgres:
        # THEN what was committed is there
        assert count(postgres.owner_url) == 1
    client.close()


def test_given_everything_killed_when_started_again_then_the_data_is_there(tmp_path: Path) -> None:
    # GIVEN holder, leash, postmaster and backends all dying by SIGKILL, with a lock file left behind
    process, url = holder(tmp_path / "data")
    keep_one(url)
    everyone = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    assert any(member.name() == "postgres" for member in everyone)
    for member in everyone:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    psutil.wait_procs(everyone, timeout=10)
    process.wait()
    assert (tmp_path / "data" / "postmaster.pid").exists()
    # WHEN and THEN
    with Postgres(tmp_path / "data", options=FAST) as postgres:
        assert count(postgres.owner_url) == 1


def test_given_its_holder_killed_when_nobody_starts_another_then_nothing_is_left_running(tmp_path: Path) -> None:
    process, _ = holder(tmp_path / "data")
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive


def test_given_a_killed_initdb_when_started_then_it_begins_anew(tmp_path: Path) -> None:
    half = tmp_path / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with Postgres(tmp_path / "data", options=FAST) as postgres:
        keep_one(postgres.owner_url)
        assert count(postgres.owner_url) == 1


def test_given_a_lock_file_with_the_number_of_another_process_when_started_then_that_is_left_alone(
    tmp_path: Path,
) -> None:
    # GIVEN a stale lock file whose process number now belongs to somebody else
    with Postgres(tmp_path / "data", options=FAST):
        pass
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as other:
        lock = tmp_path / "data" / "postmaster.pid"
        lock.write_text(f"{other.pid}\n{tmp_path / 'data'}\n{int(time.time())}\n5432\n\n127.0.0.1\n0 0\n")
        os.chown(lock, (tmp_path / "data").stat().st_uid, -1)
        # WHEN
        with Postgres(tmp_path / "data", options=FAST):
            # THEN
            assert other.poll() is None
        other.send_signal(signal.SIGKILL)


def test_given_a_wanted_port_that_is_taken_when_started_then_it_says_so(tmp_path: Path) -> None:
    with Postgres(tmp_path / "one", options=FAST) as first:
        second = Postgres(tmp_path / "two", port=first.port, options=FAST)
        with pytest.raises(PostgresError, match="Address already in use"):
            second.start()
    assert free_port() > 0
