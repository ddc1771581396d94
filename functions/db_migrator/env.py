"""Alembic's entry: `service.migrate` gives the connection."""

from alembic import context

from quintet.db.models import every_table

context.configure(connection=context.config.attributes["connection"], target_metadata=every_table())
with context.begin_transaction():
    context.run_migrations()
