"""The database of a stand: the embedded one, or the one DATABASE_URL names."""

import secrets
from contextlib import suppress
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from infra.local.environment import as_app_role
from infra.local.postgres import APP_ROLE
from infra.local.state import LocalError, State

OLDEST = 18
_PASSWORD_FILE = "database-password"


def given(owner_url: str, state: State) -> str:
    """Check the database DATABASE_URL names; answers the URL that functions use on it.

    `owner_url` is of a role that may create tables and roles. Functions connect as `quintet_app`, which is
    made here if it is missing, with a password that the state folder keeps.
    """
    shown = urlsplit(owner_url)
    name = f"{shown.hostname}:{shown.port or 5432}{shown.path}"
    try:
        connection = psycopg.connect(owner_url, autocommit=True, connect_timeout=10)
    except psycopg.Error as error:
        raise LocalError(f"DATABASE_URL ({name}) cannot be reached: {error}".strip()) from error
    with connection:
        version = connection.info.server_version
        if version < OLDEST * 10_000:
            raise LocalError(
                f"DATABASE_URL ({name}) is PostgreSQL {version // 10_000}; Quintet needs {OLDEST} or newer. "
                "Without DATABASE_URL, make run brings its own."
            )
        password = state.read(_PASSWORD_FILE) or ""
        for candidate in ("", password):
            with suppress(psycopg.OperationalError):
                psycopg.connect(as_app_role(owner_url, candidate), connect_timeout=10).close()
                return as_app_role(owner_url, candidate)
        password = password or secrets.token_urlsafe(24)
        try:
            exists = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [APP_ROLE]).fetchone()
            connection.execute(
                sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
                    sql.SQL("CREATE" if exists is None else "ALTER"), sql.Identifier(APP_ROLE), sql.Literal(password)
                )
            )
        except psycopg.Error as error:
            raise LocalError(
                f"Functions connect to DATABASE_URL ({name}) as the role {APP_ROLE}, which its owner may not "
                f"make or give a password ({error}). As a superuser: CREATE ROLE {APP_ROLE} LOGIN PASSWORD "
                f"'...'; and put that password into {state.path / _PASSWORD_FILE}"
            ) from error
        state.write(_PASSWORD_FILE, password)
        return as_app_role(owner_url, password)
