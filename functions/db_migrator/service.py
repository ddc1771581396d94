"""Alembic, run inside the function."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from quintet.db.engine import owner_engine
from quintet.db.partitions import ensure_partitions
from quintet.db.session import writing
from quintet.identity.keys import register_public_keys

_LOCK = 0x5155494E  # any number; two deployments at once take turns


def migrate(revision: str = "head") -> str:
    """Bring schema, partitions and public signing keys up to date in one transaction.

    Returns the revision the database is at.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    with writing(owner=True) as session:
        connection = session.connection()
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        ensure_partitions(connection)
        register_public_keys(connection)
        current = MigrationContext.configure(connection).get_current_revision()
    owner_engine().dispose()
    return current or ""
