"""Alembic's entry: `service.migrate` gives the connection."""

from alembic import context

from quintet.db.models import every_table

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=every_table())
with context.begin_transaction():
    # Whoever waits for a table has all wait who come after: less than requests are ready to (5 s). Outside of the
    # transaction, in an `autocommit_block`, are those that nobody waits for: CREATE INDEX CONCURRENTLY.
    connection.exec_driver_sql("SET LOCAL lock_timeout = '2s'")
    context.run_migrations()
