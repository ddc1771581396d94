"""Migrations run while the code before them serves: squawk says which statements it, or its clients, would feel."""

import json
import subprocess
import sysconfig
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from alembic import op
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory

ROOT = Path(__file__).parents[2]
MIGRATIONS = {
    script.revision: script for script in ScriptDirectory(str(ROOT / "functions/db_migrator")).walk_revisions()
}

ACCEPTED = {
    "0003": {"require-concurrent-index-creation"},
    "0007": {
        "adding-foreign-key-constraint",
        "ban-drop-constraint",
        "constraint-missing-not-valid",
        "require-concurrent-index-creation",
    },
    "0008": {"require-concurrent-index-creation", "require-concurrent-index-deletion"},
    "0009": {"require-concurrent-index-creation", "require-concurrent-index-deletion"},
    "0011": {"ban-drop-constraint", "ban-drop-not-null", "constraint-missing-not-valid"},
    "0014": {
        "adding-field-with-default",
        "ban-drop-constraint",
        "constraint-missing-not-valid",
        "require-concurrent-index-creation",
    },
}
"""Of migrations older than any installation: what they change was empty, and no code was before them. None is added."""


def written(upgrade: Callable[[], None]) -> str:
    """What a migration sends, and where its transactions begin and end."""
    buffer = StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},  # or each % is written twice
        opts={"as_sql": True, "output_buffer": buffer},
    )
    with Operations.context(context), context.begin_transaction():
        upgrade()
    return buffer.getvalue()


def findings(sql: str) -> dict[str, str]:
    """The rules that it breaks, each with where and what to do instead."""
    squawk = Path(sysconfig.get_path("scripts"), "squawk")
    done = subprocess.run(
        [squawk, "--config", ROOT / ".squawk.toml", "--reporter", "json"],
        input=sql,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    lines = sql.splitlines()
    return {
        finding["rule_name"]: f"{lines[finding['line']].strip()}: {finding['message']} {finding['help'] or ''}"
        for finding in found
    }


@pytest.mark.parametrize("migration", MIGRATIONS.values(), ids=MIGRATIONS)
def test_given_a_migration_then_the_code_before_it_and_its_clients_do_not_feel_it(migration: Script) -> None:
    found = findings(written(migration.module.upgrade))
    accepted = ACCEPTED.get(migration.revision, set())
    assert {rule: said for rule, said in found.items() if rule not in accepted} == {}
    assert accepted <= found.keys(), "it is no longer found, so it is not to be accepted"


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("ALTER TABLE users ADD COLUMN nickname text NOT NULL", "adding-required-field"),
        ("ALTER TABLE users ADD COLUMN other_id uuid DEFAULT uuidv7() NOT NULL", "adding-field-with-default"),
        ("ALTER TABLE users ALTER COLUMN username SET NOT NULL", "adding-not-nullable-field"),
        ("ALTER TABLE users ALTER COLUMN version TYPE bigint", "changing-column-type"),
        ("ALTER TABLE users RENAME COLUMN full_name TO name", "renaming-column"),
        ("ALTER TABLE users RENAME TO people", "renaming-table"),
        ("ALTER TABLE users DROP COLUMN full_name", "ban-drop-column"),
        ("DROP TABLE users", "ban-drop-table"),
        ("DROP FUNCTION words_of", "ban-drop-function"),
        ("CREATE INDEX ix_users_status ON users (status)", "require-concurrent-index-creation"),
        (
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_users_status ON users (status)",
            "ban-concurrent-index-creation-in-transaction",
        ),
        ("DROP INDEX ix_users_full_name_prefix", "require-concurrent-index-deletion"),
        ("ALTER TABLE users ADD CONSTRAINT ck_users_name CHECK (full_name <> '')", "constraint-missing-not-valid"),
        ("ALTER TABLE users ADD CONSTRAINT uq_users_full_name UNIQUE (full_name)", "disallowed-unique-constraint"),
        ("ALTER TABLE users DROP CONSTRAINT ck_users_status", "ban-drop-constraint"),
        ("ALTER TABLE users DROP COLUM full_name", "syntax-error"),
    ],
)
def test_given_a_statement_that_would_be_felt_then_it_is_refused(statement: str, rule: str) -> None:
    assert rule in findings(written(lambda: op.execute(statement)))


def test_given_what_expands_then_nothing_is_found() -> None:
    def upgrade() -> None:
        op.execute("ALTER TABLE users ADD COLUMN nickname text, ADD COLUMN points integer DEFAULT 0 NOT NULL")
        op.execute("ALTER TABLE users ADD CONSTRAINT ck_users_points CHECK (points >= 0) NOT VALID")
        op.execute("CREATE TABLE nicknames (user_id uuid REFERENCES users (id), name text NOT NULL)")
        op.execute("CREATE INDEX ix_nicknames_user_id ON nicknames (user_id)")
        op.execute(
            "-- Nobody has read it since 0016.\n-- squawk-ignore ban-drop-column\nALTER TABLE users DROP COLUMN old"
        )
        with op.get_context().autocommit_block():
            op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_users_nickname")  # half of one that failed
            op.execute("CREATE INDEX CONCURRENTLY IF NOT EXISTS ix_users_nickname ON users (nickname)")

    assert findings(written(upgrade)) == {}
