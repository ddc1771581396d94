"""Reads by psycopg itself, on connections of SQLAlchemy's pool.

A hot read is SQL whose rows go out as they are. SQLAlchemy's own way to them costs a request a fifth of its time.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Engine, PoolProxiedConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

Params = Mapping[str, Any]


class ReadSession(Session):
    """A session in which every statement stands alone: one round trip, with neither BEGIN nor ROLLBACK.

    `rows` and the ORM use the same connection, which whichever comes first takes from the pool of `engine`.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(autoflush=False)
        self._engine = engine
        self._pooled: PoolProxiedConnection | None = None
        self._connection: Connection | None = None

    def rows(self, sql: str, params: Params | None = None) -> list[Any]:
        """The rows of `sql` as named tuples. Errors are SQLAlchemy's, as they are elsewhere."""
        try:
            return self._driver().cursor(row_factory=namedtuple_row).execute(sql, params).fetchall()
        except psycopg.Error as error:
            raise DBAPIError.instance(
                sql, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=self._dropped(error)
            ) from error

    def get_bind(self, *_: Any, **__: Any) -> Connection:
        """The connection as the ORM wants it."""
        if self._connection is None:
            self._driver()
            self._connection = Connection(self._engine, self._pooled)
        return self._connection

    def close(self) -> None:
        """Give the connection back."""
        super().close()
        if self._pooled is not None and self._pooled.is_valid:
            self._driver().autocommit = False
            self._pooled.close()
        self._pooled = self._connection = None

    def _driver(self) -> "psycopg.Connection[Any]":
        if self._pooled is None or not self._pooled.is_valid:
            self._pooled, self._connection = self._engine.raw_connection(), None
            self._pooled.driver_connection.autocommit = True  # type: ignore[union-attr]
        return self._pooled.driver_connection  # type: ignore[return-value]

    def _dropped(self, error: psycopg.Error) -> bool:
        """Whether the connection is lost. The pool replaces it then, and the next statement gets another."""
        if self._pooled is None or not self._driver().closed:
            return False
        self._pooled.invalidate(error)
        return True


def rows(session: Session, sql: str, params: Params | None = None) -> list[Any]:
    """The rows of `sql`, whose parameters are psycopg's `%(name)s`, in a session for reads or for a transaction."""
    if isinstance(session, ReadSession):
        return session.rows(sql, params)
    return list(session.connection().exec_driver_sql(sql, dict(params or {})))
