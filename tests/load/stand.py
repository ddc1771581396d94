"""What is measured against: a PostgreSQL and an AWS emulator of their own, migrated, with people and projects."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg

from infra.local.emulator import Emulator
from infra.local.environment import variables
from infra.local.invocation import invoke
from infra.local.postgres import DATABASE, Postgres
from infra.local.resources import prepare
from infra.local.state import State

PASSWORD = "correct horse battery staple 7"
PEOPLE = 100
"""Accounts with `PASSWORD`, enough that no rate limit is met."""

_PEOPLE = """
    WITH person AS (
        INSERT INTO users (email, full_name, password_hash)
        SELECT 'person' || n || '@example.com', 'Person ' || n, %(hash)s FROM generate_series(1, %(people)s) AS n
        RETURNING id
    ), role AS (
        INSERT INTO user_roles (user_id, role_id)
        SELECT person.id, roles.id FROM person, roles WHERE roles.name = 'user'
    )
    INSERT INTO sessions (user_id, expires_at) SELECT id, now() + interval '1 day' FROM person"""

_PROJECTS = """
    WITH project AS (
        INSERT INTO projects (title, description, owner_id, status, product_type, settings, archived_at)
        SELECT 'Project ' || n, 'The description of project ' || n || ', two lines of text that say what it is for, '
                 || 'who works on it and when it is to be done.',
               %(owner)s, CASE WHEN n %% 10 = 0 THEN 'archived' ELSE 'active' END,
               CASE WHEN n %% 3 = 0 THEN 'software' END, '{"colour": "teal", "public": false}',
               CASE WHEN n %% 10 = 0 THEN now() END
        FROM generate_series(1, %(count)s) AS n
        RETURNING id, owner_id
    )
    INSERT INTO project_members (project_id, user_id, role) SELECT id, owner_id, 'owner' FROM project"""

_COURSES = """
    INSERT INTO courses (title, description, created_by, status, capacity)
    SELECT 'Course ' || n, 'The description of course ' || n || ', two lines of text that say what is learnt in it, '
             || 'by whom, and what one has to know before.',
           %(owner)s, CASE WHEN n %% 10 = 0 THEN 'draft' ELSE 'published' END, CASE WHEN n %% 3 = 0 THEN 20 END
    FROM generate_series(1, %(count)s) AS n"""


@dataclass(frozen=True, slots=True)
class Person:
    """An account of the stand with a session."""

    id: UUID
    email: str
    session_id: UUID

    def token(self) -> str:
        """An access token, valid for 15 minutes from now."""
        from quintet.identity.keys import token_keys
        from quintet.identity.tokens import issue

        return issue(token_keys()[0], user_id=self.id, session_id=self.session_id)


class Stand:
    """A database with `PEOPLE` who own no projects yet; `environment` is what functions see."""

    def __init__(self, postgres: Postgres, environment: dict[str, str]) -> None:
        self._postgres = postgres
        self.environment = environment

    @property
    def database_url(self) -> str:
        """As the role that functions use."""
        return self.environment["DATABASE_URL"]

    def owner(self) -> psycopg.Connection:
        """A connection of the schema's owner, in autocommit."""
        return psycopg.connect(self.environment["DATABASE_OWNER_URL"], autocommit=True)

    def people(self) -> list[Person]:
        """Everybody, in a fixed order, with their first session."""
        query = (
            "SELECT DISTINCT ON (u.id) u.id, u.email, s.id"
            " FROM users u JOIN sessions s ON s.user_id = u.id ORDER BY u.id, s.id"
        )
        with self.owner() as connection:
            return [Person(*row) for row in connection.execute(query)]

    def add_projects(self, owner: Person, count: int) -> None:
        """Give `owner` this many projects, a tenth of them archived."""
        with self.owner() as connection:
            connection.execute(_PROJECTS, {"owner": owner.id, "count": count})
            connection.execute("VACUUM (ANALYZE) projects, project_members")

    def add_courses(self, owner: Person, count: int) -> None:
        """Give `owner` this many courses, a tenth of them drafts, all without lessons."""
        with self.owner() as connection:
            connection.execute(_COURSES, {"owner": owner.id, "count": count})
            connection.execute("VACUUM (ANALYZE) courses")

    def copy(self, name: str) -> "Stand":
        """Another database with the same content, on the same server. No one may be connected to this one."""
        with psycopg.connect(self._postgres.superuser_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {DATABASE}")
        urls = {
            key: self.environment[key].removesuffix(DATABASE) + name for key in ("DATABASE_URL", "DATABASE_OWNER_URL")
        }
        return Stand(self._postgres, {**self.environment, **urls})


@contextmanager
def stand(folder: Path) -> Iterator[Stand]:
    """A stand in `folder`. PostgreSQL has its default settings: a commit waits for the disk, as it does on RDS."""
    state = State(folder)
    with Postgres(folder / "postgres") as postgres:
        emulator = Emulator(state)
        emulator.start(smtp_port=1)  # where no mail server is
        try:
            emulator.wait()
            environment = variables(
                owner_url=postgres.owner_url,
                app_url=postgres.app_url,
                endpoint=emulator.endpoint,
                url="https://api.example.com/api/v1",
            ) | {"ENVIRONMENT": "test", "DATABASE_POOL_SIZE": "1", "CORS_ORIGINS": "https://app.example.com"}
            os.environ.update(environment)
            prepare(state)
            invoke("db_migrator", {})
            with psycopg.connect(postgres.owner_url) as connection:
                connection.execute(_PEOPLE, {"hash": _hash(), "people": PEOPLE})
            yield Stand(postgres, environment)
        finally:
            emulator.stop()


def _hash() -> str:
    from quintet.identity.passwords import hash_password

    return hash_password(PASSWORD)
