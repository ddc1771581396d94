"""Alembic, run inside the function, while the old code serves on.

Each migration is a transaction: it is there whole or not at all, and its locks end with it. It gives way instead of
waiting for a lock, since whoever comes after it would have to wait, too (`env.py`), and is tried again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from quintet.db.engine import owner_engine
from quintet.db.partitions import ensure_partitions
from quintet.identity.keys import register_public_keys
from quintet.observability import logger

SCRIPTS = Path(__file__).parent

_LOCK = 0x5155494E  # any number; two deployments at once take turns

PATIENCE, STATEMENT_TIMEOUT = 240, 300
"""Seconds in which it is tried again, and that one statement may take: together less than the function's timeout, so
that it is us who say what took so long."""


class MigrationError(Exception):
    """The schema is not what it was to be. A deployment fails with this message."""


class AnotherMigratesError(MigrationError):
    """Another deployment is at it."""


def migrate(revision: str = "head", *, scripts: Path = SCRIPTS, patience: float = PATIENCE) -> str:
    """Bring the schema to `revision` of the migrations in `scripts`, and partitions and public signing keys up to date.

    What is in its way for a moment is waited for, for `patience` seconds. Returns the revision the database is at.
    Raises `MigrationError`, which names the migration and why it failed; the schema is as the one before it left it.
    """
    import stamina

    insistently = stamina.RetryingCaller(attempts=None, timeout=patience, wait_initial=0.5)
    return insistently(_may_pass, _migrate, revision, scripts)


def _may_pass(error: Exception) -> bool:
    reason = getattr(error.__cause__, "orig", None)
    return isinstance(error, AnotherMigratesError) or isinstance(reason, LockNotAvailable | DeadlockDetected)


def _migrate(revision: str, scripts: Path) -> str:
    config = Config()
    config.set_main_option("script_location", str(scripts))
    with _alone() as connection:
        config.attributes["connection"] = connection
        for migration in _pending(connection, ScriptDirectory.from_config(config), revision):
            try:
                command.upgrade(config, migration.revision)
            except Exception as error:
                reason = error.orig if isinstance(error, DBAPIError) else error
                raise MigrationError(f"Migration {migration.revision} failed: {reason} [{migration.doc}]") from error
        with connection.begin():
            ensure_partitions(connection)
            register_public_keys(connection)
        return _current(connection) or ""


@contextmanager
def _alone() -> Iterator[Connection]:
    """A connection of the owner's, while no other deployment has one."""
    with owner_engine().connect() as connection:
        try:
            with connection.begin():
                connection.exec_driver_sql(f"SET statement_timeout = '{STATEMENT_TIMEOUT}s'")
                # Who waited for the lock would hold a snapshot, and CREATE INDEX CONCURRENTLY waits for all of those.
                if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": _LOCK}):
                    raise AnotherMigratesError("Another deployment is migrating this database")
            yield connection
        finally:
            connection.invalidate()  # setting and lock end with it


def _current(connection: Connection) -> str | None:
    with connection.begin():
        return MigrationContext.configure(connection).get_current_revision()


def _pending(connection: Connection, scripts: ScriptDirectory, revision: str) -> list[Script]:
    """The migrations up to `revision` that are still to be made, oldest first."""
    current = _current(connection)
    if current and current not in {script.revision for script in scripts.walk_revisions()}:
        # A deployment was rolled back: the schema stays, and the code before it runs on that.
        logger.warning("The schema is at %s, which is newer than this code. It stays.", current)
        return []
    made = {migration.revision for migration in scripts.iterate_revisions(current or "base", "base")}
    wanted = list(scripts.iterate_revisions(revision, "base"))
    return [migration for migration in reversed(wanted) if migration.revision not in made]
