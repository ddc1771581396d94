"""The migrated database: what the models say, indexed where it is joined, and closed to the application's role."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from psycopg.errors import InsufficientPrivilege
from sqlalchemy.exc import ProgrammingError

from functions.db_migrator.service import migrate
from quintet.db.engine import engine, owner_engine
from quintet.db.models import every_table
from quintet.db.models.events import Xid8

pytestmark = pytest.mark.usefixtures("stack")

_UNCOVERED = """
    SELECT c.conrelid::regclass::text || ' (' || string_agg(a.attname, ', ') || ')'
    FROM pg_constraint c
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY(c.conkey)
    WHERE c.contype = 'f' AND NOT EXISTS (
        SELECT FROM pg_index i
        WHERE i.indrelid = c.conrelid AND i.indpred IS NULL
          AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey
    )
    GROUP BY c.oid, c.conrelid"""
"""Foreign keys that no index begins with."""


def test_given_the_migrations_then_the_models_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(owner_engine().dialect.ischema_names, "xid8", Xid8)  # type: ignore[attr-defined]

    def ours(object: object, name: str | None, type_: str, reflected: bool, compare_to: object) -> bool:
        return not (type_ == "table" and reflected and str(name).startswith("events_"))  # a partition

    with owner_engine().connect() as connection:
        options = {"include_object": ours, "compare_type": True, "compare_server_default": True}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), every_table())
    assert differences == []


def test_given_a_migrated_database_when_migrated_again_then_nothing_happens() -> None:
    assert migrate() == migrate() != ""


def test_given_every_foreign_key_then_an_index_begins_with_it() -> None:
    with owner_engine().connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM pg_constraint WHERE contype = 'f'").scalar_one() > 10
        assert connection.exec_driver_sql(_UNCOVERED).scalars().all() == []


def test_given_the_tables_then_check_constraints_and_keys_are_there_as_the_models_name_them() -> None:
    def names(*kinds: str) -> set[str]:
        with owner_engine().connect() as connection:
            rows = connection.exec_driver_sql(
                "SELECT conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid"
                " WHERE contype = ANY(%(kinds)s) AND NOT t.relispartition AND t.relname <> 'alembic_version'"
                " AND t.relnamespace = 'public'::regnamespace",
                {"kinds": list(kinds)},
            )
            return set(rows.scalars())

    modelled = {
        str(engine().dialect.identifier_preparer.format_constraint(constraint))
        for table in every_table().tables.values()
        for constraint in table.constraints
    }
    assert names("c", "f", "p", "u") == modelled


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET data = '{}'",
        "DELETE FROM events",
        "TRUNCATE events",
        "INSERT INTO signing_keys VALUES ('k', '{}')",
        "UPDATE signing_keys SET jwk = '{}'",
        "DELETE FROM signing_keys",
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER TABLE users ADD COLUMN mine int",
        "DROP TABLE projects",
        "ALTER ROLE quintet_app SUPERUSER",
        "UPDATE alembic_version SET version_num = '0'",
        "SELECT pg_read_file('/etc/passwd')",
        "COPY users TO PROGRAM 'true'",
    ],
)
def test_given_the_applications_role_then_the_database_refuses(statement: str) -> None:
    with engine().connect() as connection, pytest.raises(ProgrammingError) as refused:
        connection.exec_driver_sql(statement)
    assert isinstance(refused.value.orig, InsufficientPrivilege)


def test_given_a_partition_then_it_is_as_closed_as_the_table_it_is_part_of() -> None:
    with owner_engine().connect() as connection:
        partitions = connection.exec_driver_sql(
            "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass"
        ).scalars()
        names = list(partitions)
    assert len(names) >= 7
    for name in names:
        for statement in (f"UPDATE {name} SET data = '{{}}'", f"DELETE FROM {name}"):
            with engine().connect() as connection, pytest.raises(ProgrammingError) as refused:
                connection.exec_driver_sql(statement)
            assert isinstance(refused.value.orig, InsufficientPrivilege), name


def test_given_the_applications_role_then_no_statement_or_lock_can_hang_a_request() -> None:
    with engine().connect() as connection:
        settings = {
            name: connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "timezone", "jit")
        }
    assert settings == {
        "lock_timeout": "5s",
        "statement_timeout": "25s",
        "idle_in_transaction_session_timeout": "30s",
        "timezone": "UTC",
        "jit": "off",
    }
