"""`make run` keeps its promises: quick, alone, clear about what is wrong, and hard to kill."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import httpx2
import psutil
import psycopg
import pytest

from infra.local.state import ROOT
from tests.e2e.stand import Stand, eventually


def test_given_a_stand_when_stopped_and_killed_and_started_again_then_its_data_is_there(
    new_stand: Callable[..., Stand],
) -> None:
    # GIVEN a first start from an empty folder
    stand = new_stand()
    stand.start()
    keep(stand, "first")
    # WHEN it is stopped as by Ctrl-C THEN nothing it started is left, and it says so with its exit code
    family = stand.family()
    assert stand.stop() == 0
    assert not [member for member in family if member.is_running()]
    # WHEN it starts again THEN the data is there; likewise after the stand alone, and after everything is killed
    for everything in (False, True):
        stand.restart()
        keep(stand, str(everything))
        stand.kill(everything=everything)
    stand.restart()
    with psycopg.connect(stand.running().environment["DATABASE_OWNER_URL"]) as connection:
        kept = {row[0] for row in connection.execute("SELECT word FROM kept")}
    assert kept == {"first", "False", "True"}


def keep(stand: Stand, word: str) -> None:
    with psycopg.connect(stand.running().environment["DATABASE_OWNER_URL"]) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (word text)")
        connection.execute("INSERT INTO kept VALUES (%s)", [word])


def test_given_a_stand_when_another_starts_on_its_folder_then_it_says_where_the_first_is(stand: Stand) -> None:
    stand.own()
    second = Stand(stand.folder)
    second.launch()
    eventually(lambda: second._process.poll() if second._process else None, lambda code: code is not None)
    assert second._process is not None
    assert second._process.returncode == 1
    assert f"A stand already runs at {stand.url}" in stand.output()


def test_given_a_port_in_use_when_started_then_the_message_names_the_variable(
    new_stand: Callable[..., Stand],
) -> None:
    with socket.socket() as taken:
        stand = new_stand()
        taken.bind(("127.0.0.1", stand.port))
        taken.listen()
        process = stand.launch()
        assert process.wait(20) == 1
    assert f"PORT={stand.port + 1} make run" in stand.output()
    assert "Traceback" not in stand.output()


@pytest.mark.parametrize("port", ["abc", "70000"])
def test_given_a_port_that_is_none_when_started_then_it_is_told(new_stand: Callable[..., Stand], port: str) -> None:
    stand = new_stand(environment={"PORT": port})
    assert stand.launch().wait(20) == 1
    assert "PORT" in stand.output()
    assert "Traceback" not in stand.output()


def test_given_a_stand_when_looked_at_then_everything_listens_on_this_machine_only(stand: Stand) -> None:
    stand.own()
    listening = {
        connection.laddr.ip
        for member in stand.family()
        for connection in member.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_given_code_that_changes_when_saved_then_the_worker_restarts_and_no_request_is_refused(
    new_stand: Callable[..., Stand],
) -> None:
    stand = new_stand(environment={"QUINTET_RELOAD": "on"})
    stand.start()
    worker = stand.worker()
    # WHEN a file is saved while requests keep coming
    (ROOT / "functions" / "manifest.py").touch()
    deadline = time.monotonic() + 40
    answered = 0
    while stand.worker() == worker or answered < 5:
        assert time.monotonic() < deadline, stand.output()
        # THEN each of them is answered, on a connection of its own
        assert httpx2.get(f"{stand.url}/health", timeout=30).status_code == 200
        answered += stand.worker() != worker
    assert "functions/manifest.py changed: restarting" in stand.output()


def test_given_a_worker_that_dies_when_nobody_looks_then_another_takes_its_place(
    new_stand: Callable[..., Stand],
) -> None:
    stand = new_stand()
    stand.start()
    worker = stand.worker()
    psutil.Process(worker).kill()
    assert httpx2.get(f"{stand.url}/health", timeout=30).status_code == 200
    assert stand.worker() not in (0, worker)


def test_given_a_database_of_the_callers_when_started_then_it_is_used(
    new_stand: Callable[..., Stand], stand: Stand
) -> None:
    # GIVEN a database on a server that the caller names
    environment = stand.running().environment
    with psycopg.connect(environment["DATABASE_OWNER_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE callers")
    url = environment["DATABASE_OWNER_URL"].rpartition("/")[0] + "/callers"
    # WHEN
    second = new_stand(environment={"DATABASE_URL": url})
    second.start()
    # THEN its schema is there, functions use it as their own role, and no PostgreSQL of its own was started
    assert second.running().environment["DATABASE_URL"].endswith("/callers")
    assert "quintet_app" in second.running().environment["DATABASE_URL"]
    assert not (second.state / "postgres").exists()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM roles").fetchone() is not None


def test_given_a_database_that_is_not_there_when_started_then_it_is_told(new_stand: Callable[..., Stand]) -> None:
    stand = new_stand(environment={"DATABASE_URL": "postgresql://me:s3cret@127.0.0.1:1/nothing"})
    assert stand.launch().wait(30) == 1
    assert "DATABASE_URL (127.0.0.1:1/nothing) cannot be reached" in stand.output()
    assert "s3cret" not in stand.output()
    assert "Traceback" not in stand.output()


def test_given_the_landing_page_when_it_reads_the_stand_then_it_gets_what_is_there(stand: Stand) -> None:
    answer = httpx2.get(f"{stand.url}/_local/state")
    if answer.status_code == 404:
        pytest.skip("only a local stand has a landing page")
    overview = answer.json()
    assert "problem" not in overview
    assert {queue["name"] for queue in overview["queues"]} >= {"uploads", "email"}
    assert overview["url"] == stand.url


def test_given_no_stand_when_an_administrator_is_wanted_then_it_is_told(new_stand: Callable[..., Stand]) -> None:
    stand = new_stand()
    result = subprocess.run(
        [sys.executable, "-m", "infra.local.admin", "me@example.com"],
        cwd=ROOT,
        env={**os.environ, "QUINTET_STATE": str(stand.state)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert "make run" in result.stderr
    assert "Traceback" not in result.stderr


def test_given_a_terminal_that_closes_when_it_hangs_up_then_the_stand_stops(new_stand: Callable[..., Stand]) -> None:
    stand = new_stand()
    process = stand.launch()
    stand.wait_ready()
    family = stand.family()
    process.send_signal(signal.SIGHUP)
    assert process.wait(30) == 0
    assert not [member for member in family if member.is_running()]
