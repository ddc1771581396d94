"""PostgreSQL: connections, transactions, models, and JSON built by the database."""
