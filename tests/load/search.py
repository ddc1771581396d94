"""Searches whatever there is: for words that many things have and that few have, by who owns much and little."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

import psycopg

from infra.local.events import rest_event
from tests.load.deployed import Process, Runtime
from tests.load.measure import interleaved
from tests.load.stand import Person, Stand

LITTLE = 1_000
"""Tasks of somebody who has few."""
RARE = 20
"""Tasks of each that have the rare word."""

_BATCH = 10

# `common` is in every second one; the rare word in some, all over the table.
_TASKS = """
    WITH p AS (INSERT INTO projects (title, owner_id) VALUES ('Searched', %(owner)s) RETURNING id),
         m AS (INSERT INTO project_members (project_id, user_id, role) SELECT id, %(owner)s, 'owner' FROM p)
    INSERT INTO tasks (project_id, title, description, position, created_by)
    SELECT p.id, 'Task ' || n || CASE WHEN n %% 2 = 0 THEN ' common' ELSE ' other' END,
           'What is to be done in step ' || n || CASE WHEN n %% (%(tasks)s / %(rare)s) = 0 THEN ', rarely' ELSE '' END,
           'V' || lpad(n::text, 9, '0'), %(owner)s
    FROM p, generate_series(1, %(tasks)s) n"""


def fill(stand: Stand, *, tasks: int) -> None:
    """Give the sixth person so many tasks, and the seventh a few, which are older."""
    *_, much, little = stand.people()[:7]
    with stand.owner() as connection:
        for owner, n in ((little, LITTLE), (much, tasks)):
            connection.execute(_TASKS, {"owner": owner.id, "tasks": n, "rare": RARE})
        connection.execute("VACUUM (ANALYZE) tasks, projects, project_members")


def searches(runtime: Runtime, stands: Mapping[str, Stand], *, rounds: int) -> dict[str, float]:
    """Seconds of a search's first page, event to answer: `<word>_<whose>_<size>`."""
    actions: dict[str, Callable[[], float]] = {}
    with ExitStack() as stack:
        for size, stand in stands.items():
            worker = stack.enter_context(runtime.worker("search", stand.environment))
            owner = stack.enter_context(stand.owner())
            *_, much, little = stand.people()[:7]
            for whose, person in (("much", much), ("little", little)):
                for word, hits in (("common", 50), ("rarely", RARE)):
                    actions[f"{word}_{whose}_{size}"] = partial(_seconds, worker, owner, person, word, hits)
        for action in actions.values():
            action()  # with what only a first request asks the database
        return interleaved(rounds, **actions)


def _seconds(worker: Process, owner: psycopg.Connection, person: Person, word: str, hits: int) -> float:
    owner.execute("DELETE FROM rate_counters")
    headers = {"authorization": f"Bearer {person.token()}", "accept": "application/json", "user-agent": "bench"}
    event = rest_event("GET", "/api/v1/search", headers=headers, query=[("q", word)])
    reply = worker.ask(do="events", events=[event] * _BATCH)
    answer = reply["answer"]
    assert answer["statusCode"] == 200, answer
    assert answer["body"].count('"type"') == hits, answer
    return float(reply["seconds"]) / _BATCH
