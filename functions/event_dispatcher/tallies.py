"""Tallies that triggers added are merged into one row for each thing counted, so that a report adds up few of them.

Whoever changes a contact only ever adds a row, and so waits for nobody. A new row is taken away and counted into the
merged one by one statement: whoever reads sees both as they were, or as they became.
"""

from collections.abc import Callable

from quintet.db.session import writing

BATCH = 10_000
"""How many are merged at once: a tenth of a second."""

_COUNTED = {
    "contact_tallies": (("campaign_id", "agent_id", "status"), ("n",)),
    "activity_tallies": (("campaign_id", "day", "agent_id", "outcome"), ("n", "seconds")),
}
"""Table -> what it counts by, and what it counts."""


def merge_tallies(time_left: Callable[[], bool]) -> int:
    """Merge what is new, batch by batch while there is time; returns how many rows that were."""
    return sum(_merge(table, time_left) for table in _COUNTED)


def _merge(table: str, time_left: Callable[[], bool]) -> int:
    statement = _statement(table)
    done = 0
    while time_left():
        with writing() as session:
            taken: int = session.connection().exec_driver_sql(statement, {"limit": BATCH}).scalar_one()
        done += taken
        if taken < BATCH:
            break
    return done


def _statement(table: str) -> str:
    keys, sums = (", ".join(columns) for columns in _COUNTED[table])
    _, counted = _COUNTED[table]
    # In the order of the keys: two that merge at once wait for each other's rows, never in a circle.
    return f"""
        WITH gone AS (
            DELETE FROM {table} WHERE id IN (
                SELECT id FROM {table} WHERE NOT merged ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
            RETURNING *
        ), counted AS (
            INSERT INTO {table} AS t ({keys}, {sums}, merged)
            SELECT {keys}, {", ".join(f"sum({column})" for column in counted)}, true
            FROM gone GROUP BY {keys} HAVING sum(n) <> 0 ORDER BY {keys}
            ON CONFLICT ({keys}) WHERE merged
            DO UPDATE SET {", ".join(f"{column} = t.{column} + excluded.{column}" for column in counted)}
        )
        SELECT count(*) FROM gone"""
