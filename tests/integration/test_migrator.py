"""Migrations while clients keep calling: in turns, whole or not at all, and out of everybody's way."""

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from textwrap import indent
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from functions.db_migrator.service import PATIENCE, SCRIPTS, STATEMENT_TIMEOUT, MigrationError, migrate
from functions.manifest import FUNCTIONS
from infra.local.invocation import invoke
from infra.local.postgres import DATABASE, OWNER, Postgres
from quintet.config import settings
from quintet.db.engine import engine, owner_engine
from tests.support.statements import execute

NEWEST = max(path.name for path in (SCRIPTS / "versions").glob("[0-9]*.py"))[:4]

Migrations = Callable[..., Path]


@pytest.fixture
def database(stack: Postgres) -> Iterator[str]:
    """A database of the test's own, with today's schema; the owner's URL."""
    name = f"migrating_{uuid4().hex}"
    engine().dispose()
    owner_engine().dispose()
    with psycopg.connect(stack.superuser_url, autocommit=True) as server, pytest.MonkeyPatch.context() as patch:
        server.execute(f"CREATE DATABASE {name} TEMPLATE {DATABASE}")
        patch.setenv("DATABASE_OWNER_URL", stack.url(OWNER, name))
        for cached in (settings, owner_engine):
            cached.cache_clear()
        yield stack.url(OWNER, name)
        owner_engine().dispose()
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    for cached in (settings, owner_engine):
        cached.cache_clear()


@pytest.fixture
def migrations(tmp_path: Path) -> Migrations:
    """Makes a folder of Alembic's with our migrations and, after them, those of the test: the bodies of `upgrade`."""

    def make(**bodies: str) -> Path:
        folder = tmp_path / "migrations"
        shutil.copytree(SCRIPTS, folder, ignore=shutil.ignore_patterns("__pycache__"))
        before = NEWEST
        for name, body in bodies.items():
            revision = f"{int(before) + 1:04}"
            (folder / "versions" / f"{revision}_{name}.py").write_text(
                f'"""Of {name}."""\nfrom alembic import op\nrevision = "{revision}"\ndown_revision = "{before}"\n'
                + "def upgrade() -> None:\n"
                + indent(body, "    ")
            )
            before = revision
        return folder

    return make


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., Future[str]]]:
    """Migrates in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        yield lambda **options: pool.submit(migrate, **options)


def next_revision(steps: int = 1) -> str:
    return f"{int(NEWEST) + steps:04}"


def test_given_a_failing_migration_then_it_is_named_and_nothing_is_left_of_it(
    database: str, migrations: Migrations
) -> None:
    scripts = migrations(
        good='op.execute("CREATE TABLE good (id int)")',
        bad='op.execute("CREATE TABLE bad (id int)")\nop.execute("ALTER TABLE bad ADD COLUMN id int")',
        late='op.execute("CREATE TABLE late (id int)")',
    )
    with pytest.raises(MigrationError) as failed:
        migrate(scripts=scripts)
    assert str(failed.value).startswith(f'Migration {next_revision(2)} failed: column "id" of relation "bad" already')
    assert "[Of bad.]" in str(failed.value)
    assert execute("SELECT to_regclass('good') IS NULL, to_regclass('bad') IS NULL, to_regclass('late') IS NULL") == [
        (False, True, True)
    ]
    assert execute("SELECT version_num FROM alembic_version") == [(next_revision(),)]
    # WHEN it is mended THEN the rest follows
    bad = scripts / "versions" / f"{next_revision(2)}_bad.py"
    bad.write_text(bad.read_text().replace("COLUMN id", "COLUMN other"))
    assert migrate(scripts=scripts) == next_revision(3)


def test_given_a_failing_migration_then_the_function_fails_with_its_message(database: str) -> None:
    """A Trigger fails the deployment with the message of the function's error."""
    execute(f"UPDATE alembic_version SET version_num = '{int(NEWEST) - 1:04}'")
    execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no room is left'; END $$")
    execute("CREATE TRIGGER refuse BEFORE UPDATE ON alembic_version EXECUTE FUNCTION refuse()")
    with pytest.raises(MigrationError, match=f"^Migration {NEWEST} failed: "):
        invoke("db_migrator", {})


def test_given_a_table_in_use_when_a_migration_needs_it_then_the_others_go_on_and_it_is_done_in_the_end(
    database: str, migrations: Migrations, elsewhere: Callable[..., Future[str]]
) -> None:
    scripts = migrations(column='op.execute("ALTER TABLE users ADD COLUMN nickname text")')
    with psycopg.connect(database) as user, psycopg.connect(database, autocommit=True) as other:
        # GIVEN somebody who is reading the table, for long
        user.execute("SELECT count(*) FROM users")
        # WHEN it is migrated THEN whoever comes meanwhile is let past within what requests wait for a lock
        migrating = elsewhere(scripts=scripts)
        other.execute("SET lock_timeout = '5s'")
        wait_until_blocked(migrating, other)
        other.execute("SELECT count(*) FROM users")
        assert not migrating.done()
        user.rollback()
        assert migrating.result(30) == next_revision()
    assert execute("SELECT nickname FROM users LIMIT 0") == []


def test_given_a_table_that_stays_in_use_then_the_migration_gives_up_and_says_why(
    database: str, migrations: Migrations
) -> None:
    scripts = migrations(column='op.execute("ALTER TABLE users ADD COLUMN nickname text")')
    with psycopg.connect(database) as user:
        user.execute("SELECT count(*) FROM users")
        with pytest.raises(MigrationError, match=f"^Migration {next_revision()} failed: .*due to lock timeout"):
            migrate(scripts=scripts, patience=1)


def test_given_two_deployments_at_once_then_the_second_waits_for_the_first_and_finds_nothing_to_do(
    database: str, migrations: Migrations, elsewhere: Callable[..., Future[str]]
) -> None:
    """The first builds an index, which waits for every transaction there is: not for the second deployment's."""
    scripts = migrations(
        index="with op.get_context().autocommit_block():\n"
        '    op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_users_status")\n'
        '    op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_users_status ON users (status)")'
    )
    with psycopg.connect(database) as user, psycopg.connect(database, autocommit=True) as other:
        # GIVEN a transaction that the index has to wait for, for longer than others would wait for a lock
        user.execute("INSERT INTO users (email, full_name) VALUES ('a@example.com', 'A')")
        first = elsewhere(scripts=scripts)
        wait_until_blocked(first, other)
        # WHEN the function is run again THEN it waits
        with pytest.raises(MigrationError, match="Another deployment is migrating this database"):
            migrate(scripts=scripts, patience=2.5)
        assert not first.done()
        # THEN writers have gone on meanwhile, and the index is there
        other.execute("INSERT INTO users (email, full_name) VALUES ('b@example.com', 'B')")
        user.commit()
        assert first.result(30) == next_revision()
    assert execute("SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_users_status'::regclass") == [(True,)]
    assert migrate(scripts=scripts) == next_revision()


def test_given_a_schema_newer_than_the_code_then_it_stays(database: str) -> None:
    """A deployment that is rolled back runs the migrator of the code before."""
    execute("UPDATE alembic_version SET version_num = '9999'")
    assert migrate() == "9999"


def test_given_a_revision_that_is_passed_then_nothing_happens(database: str) -> None:
    assert migrate("0001") == NEWEST


def test_given_a_migration_that_takes_too_long_then_it_says_so_before_the_function_is_stopped() -> None:
    assert FUNCTIONS["db_migrator"].timeout > PATIENCE + STATEMENT_TIMEOUT


def wait_until_blocked(migrating: Future[str], connection: psycopg.Connection[Any]) -> None:
    """Until somebody in this database waits for a lock: that is the migration."""
    waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while not connection.execute(waiting).rowcount:
        if migrating.done():
            raise AssertionError(f"it waited for nothing, and came to {migrating.result()}")
        time.sleep(0.01)
