"""Transactions. Only this module commits; services never do.

A read runs in autocommit: one round trip per statement, with neither BEGIN nor ROLLBACK. A write is one
transaction; what it recorded for a queue is sent after the commit (`quintet.events.outbox`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from quintet.db.engine import engine, owner_engine
from quintet.db.reads import ReadSession
from quintet.errors import Problem

AfterCommit = Callable[[], None]


@contextmanager
def reading(*, owner: bool = False) -> Iterator[Session]:
    """A session for reads: every statement stands alone. `owner`: as the schema's owner."""
    with ReadSession(owner_engine() if owner else engine()) as session:
        yield session


@contextmanager
def writing(*, owner: bool = False) -> Iterator[Session]:
    """A session for one transaction: committed at the end, rolled back on an error. `owner`: as the schema's owner.

    A `Problem` that says `keeps_changes` (a refused password that is to be recorded) commits and is raised on.
    """
    with Session(owner_engine() if owner else engine(), autoflush=False) as session:
        try:
            yield session
        except Problem as problem:
            if problem.keeps_changes:
                commit(session)
            raise
        commit(session)


def commit(session: Session) -> None:
    """Commit, then do what waited for it. For the framework: sessions, rate limits, batch consumers."""
    session.commit()
    for action in session.info.pop("after_commit", []):
        action()


def after_commit(session: Session, action: AfterCommit) -> None:
    """Do `action` once this transaction has committed; never if it rolls back."""
    session.info.setdefault("after_commit", []).append(action)
