"""Statements: our own, and what really goes to the database, read from libpq's trace (a stray ROLLBACK counts)."""

import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg import pq
from sqlalchemy import event

from quintet.db.engine import engine, owner_engine

_SENT = re.compile(r'^F\t\d+\t(?:Query\t |Parse\t "" )"(.*?)"(?: \d+)*$(?=\n[FB]\t|\Z)', re.MULTILINE | re.DOTALL)
"""A simple query, or the first message of an extended one: each is one round trip."""


def execute(statement: str, **params: Any) -> Any:
    """One statement as the owner; its rows, when it has some."""
    with owner_engine().begin() as connection:
        result = connection.exec_driver_sql(statement, params)
        return result.all() if result.returns_rows else None


@contextmanager
def counted(*, here: bool = False) -> Iterator[list[str]]:
    """The statements sent while inside, filled in at the end: one each is one round trip to the database.

    `here`: by this thread, whatever sockets of other tests are still about.
    """
    statements: list[str] = []
    thread = threading.get_ident()
    with tempfile.TemporaryFile("w+") as log:

        def start(dbapi_connection: object, *_: object) -> None:
            if here and threading.get_ident() != thread:
                return
            connection: pq.abc.PGconn = dbapi_connection.pgconn  # type: ignore[attr-defined]
            connection.trace(log.fileno())
            connection.set_trace_flags(pq.Trace.SUPPRESS_TIMESTAMPS)

        def stop(dbapi_connection: object, *_: object) -> None:
            dbapi_connection.pgconn.untrace()  # type: ignore[attr-defined]

        event.listen(engine(), "checkout", start)
        event.listen(engine(), "checkin", stop)
        try:
            yield statements
        finally:
            event.remove(engine(), "checkout", start)
            event.remove(engine(), "checkin", stop)
        log.seek(0)
        statements += _SENT.findall(log.read().strip())
