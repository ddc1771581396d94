"""Alembic's entry: `service.migrate` gives the connection."""

from alembic import context

from quintet.db.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
