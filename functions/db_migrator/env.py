"""Alembic's entry: the connection comes from `service.migrate`, or is opened for the command line."""

from alembic import context
from sqlalchemy import Connection

from quintet.db.engine import owner_engine
from quintet.db.models import Base


def run(connection: Connection) -> None:
    """Run the migrations asked for on `connection`."""
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with owner_engine().begin() as opened:
        run(opened)
