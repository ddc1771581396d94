"""Each morning, wherever somebody lives: tasks that are due tomorrow, and what is to be told once a day.

Both may run twice at once, or break off and run again: a reminder is a row that there is once, and who has had a day's
digest has notifications in it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from quintet.db.reads import rows
from quintet.db.session import writing
from quintet.events.record import Happening, record_all, scope_of
from quintet.events.types import EventType
from quintet.observability import logger

BATCH = 200
"""Tasks, or people, of one transaction."""

MORNING = "time '08:00'"

# As PostgreSQL knows it: a zone that only the API knows would let everybody's query fail.
_ZONE = "LEFT JOIN pg_timezone_names z ON z.name = u.time_zone"
_LOCAL = "(%(now)s::timestamptz AT TIME ZONE coalesce(z.name, 'UTC'))"
"""What the clock on their wall says."""

# Whatever somebody is at work on is left for the next time: nobody is waited for.
_REMIND = f"""
    WITH due AS (
        SELECT t.id, t.assignee_id, t.due_date, t.project_id
        FROM tasks t JOIN projects p ON p.id = t.project_id JOIN users u ON u.id = t.assignee_id {_ZONE}
        WHERE coalesce(t.due_date, 'infinity'::date) BETWEEN %(now)s::date - 1 AND %(now)s::date + 3
          AND t.due_date = {_LOCAL}::date + 1 AND {_LOCAL}::time >= {MORNING}
          AND t.status <> 'done' AND p.status <> 'archived' AND u.status = 'active'
          AND NOT EXISTS (
              SELECT FROM task_reminders r
              WHERE r.task_id = t.id AND r.user_id = t.assignee_id AND r.due_date = t.due_date)
        ORDER BY t.id LIMIT {BATCH} FOR NO KEY UPDATE OF t SKIP LOCKED
    ), reminded AS (
        INSERT INTO task_reminders (task_id, user_id, due_date) SELECT id, assignee_id, due_date FROM due
        ON CONFLICT DO NOTHING RETURNING task_id
    )
    SELECT due.* FROM reminded JOIN due ON due.id = reminded.task_id ORDER BY due.id"""

_UNDIGESTED = "n.email = 'digest' AND n.digest_on IS NULL AND n.read_at IS NULL"

# What comes in later in the day waits for the next morning.
_WHOSE_MORNING = f"""
    SELECT u.id, {_LOCAL}::date AS today
    FROM users u {_ZONE}
    WHERE u.id IN (SELECT n.user_id FROM notifications n WHERE {_UNDIGESTED})
      AND u.status = 'active' AND {_LOCAL}::time >= {MORNING}
      AND EXISTS (
          SELECT FROM notifications n WHERE n.user_id = u.id AND {_UNDIGESTED}
            AND n.created_at < ({_LOCAL}::date + {MORNING}) AT TIME ZONE coalesce(z.name, 'UTC'))
      AND NOT EXISTS (SELECT FROM notifications n WHERE n.user_id = u.id AND n.digest_on >= {_LOCAL}::date)
    ORDER BY u.id LIMIT {BATCH} FOR NO KEY UPDATE OF u SKIP LOCKED"""

# Looked at again: another run may have been quicker until the accounts were ours.
_DIGEST = f"""
    WITH gathered AS (
        UPDATE notifications n SET digest_on = mine.today
        FROM unnest(%(users)s::uuid[], %(days)s::date[]) AS mine (user_id, today)
        WHERE n.user_id = mine.user_id AND {_UNDIGESTED}
          AND NOT EXISTS (
              SELECT FROM notifications o WHERE o.user_id = mine.user_id AND o.digest_on >= mine.today)
        RETURNING n.user_id, n.digest_on
    )
    SELECT DISTINCT user_id, digest_on FROM gathered ORDER BY user_id"""


def remind(now: datetime, time_left: Callable[[], bool]) -> dict[str, int]:
    """Remind of tasks and gather digests, batch by batch while there is time; returns how many there were.

    Neither waits for the other's success; raises at the end when one failed.
    """
    done, failed = {}, []
    for name, work in (("tasks", _remind_of_tasks), ("digests", _gather_digests)):
        try:
            done[name] = _each_batch(work, now, time_left)
        except Exception:
            logger.exception("The %s failed.", name)
            failed.append(name)
    if failed:
        raise RuntimeError(f"These failed: {', '.join(failed)}")
    return done


def _each_batch(work: Callable[[Session, datetime], int], now: datetime, time_left: Callable[[], bool]) -> int:
    total, done = 0, BATCH
    while done == BATCH and time_left():
        with writing() as session:
            done = work(session, now)
        total += done
    return total


def _remind_of_tasks(session: Session, now: datetime) -> int:
    due = rows(session, _REMIND, {"now": now})
    record_all(session, [_due(task) for task in due])
    return len(due)


def _due(task: Any) -> Happening:
    data = {"assignee_id": str(task.assignee_id), "due_date": task.due_date.isoformat()}
    return Happening(EventType.TASK_DUE, task.id, scope_of("project", task.project_id), data)


def _gather_digests(session: Session, now: datetime) -> int:
    people = rows(session, _WHOSE_MORNING, {"now": now})
    params = {"users": [person.id for person in people], "days": [person.today for person in people]}
    digests = rows(session, _DIGEST, params)
    record_all(
        session,
        [
            Happening(
                EventType.NOTIFICATION_DIGEST_DUE,
                digest.user_id,
                scope_of("user", digest.user_id),
                {"date": digest.digest_on.isoformat()},
            )
            for digest in digests
        ],
    )
    return len(people)
