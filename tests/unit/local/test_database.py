"""A database the caller names is used as a cautious person would."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from infra.local import database
from infra.local.database import given
from infra.local.postgres import Postgres
from infra.local.state import LocalError, State


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A server that asks everybody for a password; its superuser's is `pass/word@1`."""
    folder = tmp_path_factory.mktemp("database")
    with Postgres(folder / "data", options={"fsync": "off"}) as server:
        with psycopg.connect(server.owner_url, autocommit=True) as connection:
            connection.execute("ALTER ROLE postgres PASSWORD 'pass/word@1'")
            (folder / "data" / "pg_hba.conf").write_text("host all all 127.0.0.1/32 scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        yield server


@pytest.fixture
def owner_url(server: Postgres) -> str:
    """The URL its owner would give."""
    return server.owner_url.replace("postgres@", "postgres:pass%2Fword%401@")


def connects(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_user || ' on ' || current_database()").fetchone()
        assert row is not None
        return str(row[0])


def test_given_a_server_with_passwords_when_named_then_functions_get_a_role_with_one_that_is_kept(
    owner_url: str, tmp_path: Path
) -> None:
    state = State(tmp_path)
    url = given(owner_url, state)
    assert connects(url) == "quintet_app on quintet"
    # and again: the same password; and from another state folder: a new one
    assert given(owner_url, state) == url
    other = given(owner_url, State(tmp_path / "other"))
    assert other != url
    assert connects(other) == "quintet_app on quintet"
    assert (tmp_path / "database-password").stat().st_mode & 0o077 == 0


def test_given_an_owner_that_may_not_make_roles_when_named_then_the_message_says_what_to_do(
    server: Postgres, owner_url: str, tmp_path: Path
) -> None:
    password = secrets.token_hex(8)
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS quintet_app")
        connection.execute(sql.SQL("CREATE ROLE modest LOGIN PASSWORD {}").format(sql.Literal(password)))
    url = server.owner_url.replace("postgres@", f"modest:{password}@")
    with pytest.raises(LocalError, match="CREATE ROLE quintet_app LOGIN PASSWORD") as told:
        given(url, State(tmp_path))
    assert password not in str(told.value)


def test_given_an_older_server_when_named_then_it_is_refused_by_its_version(
    owner_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "OLDEST", 99)
    with pytest.raises(LocalError, match="is PostgreSQL 18; Quintet needs 99 or newer"):
        given(owner_url, State(tmp_path))


def test_given_a_wrong_password_when_named_then_it_is_told_without_it(owner_url: str, tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="cannot be reached") as told:
        given(owner_url.replace("pass%2Fword%401", "s3cret"), State(tmp_path))
    assert "s3cret" not in str(told.value)
