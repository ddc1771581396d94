"""Reads by psycopg itself, on connections of SQLAlchemy's pool.

A hot read is SQL whose rows go out as they are. SQLAlchemy's own way to them costs a request a fifth of its time.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

Params = Mapping[str, Any]


class ReadSession(Session):
    """A session of an engine in autocommit: every statement stands alone, in one round trip.

    `rows` and the ORM use the same connection, which whichever comes first takes from the pool.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(autoflush=False)
        self._engine = engine
        self._connection: Connection | None = None

    def rows(self, sql: str, params: Params | None = None) -> list[Any]:
        """The rows of `sql` as named tuples. Errors are SQLAlchemy's, as they are elsewhere."""
        connection = self.get_bind()
        driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        try:
            return driver.cursor(row_factory=namedtuple_row).execute(sql, params).fetchall()
        except psycopg.Error as error:
            if driver.closed:
                connection.invalidate(error)
            raise DBAPIError.instance(
                sql, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=driver.closed
            ) from error

    def get_bind(self, *_: Any, **__: Any) -> Connection:
        """The connection, for the ORM too."""
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def close(self) -> None:
        """Give the connection back."""
        super().close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def rows(session: Session, sql: str, params: Params | None = None) -> list[Any]:
    """The rows of `sql`, whose parameters are psycopg's `%(name)s`, in a session for reads or for a transaction."""
    if isinstance(session, ReadSession):
        return session.rows(sql, params)
    return list(session.connection().exec_driver_sql(sql, dict(params or {})))
