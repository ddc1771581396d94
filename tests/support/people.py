"""People made at once: rows instead of a registration with its argon2, for tests that need many of them."""

import secrets
from functools import lru_cache
from uuid import UUID

from quintet.db.engine import owner_engine
from quintet.identity import tokens
from quintet.identity.keys import token_keys
from quintet.identity.passwords import hash_password
from tests.support.api import PASSWORD, Api

_MAKE = """
    WITH person AS (
        INSERT INTO users (email, full_name, password_hash, email_verified_at)
        VALUES (%(email)s, %(full_name)s, %(hash)s, now()) RETURNING id
    ), held AS (
        INSERT INTO user_roles (user_id, role_id)
        SELECT person.id, roles.id FROM person, roles WHERE roles.name = ANY(%(roles)s)
    )
    INSERT INTO sessions (user_id, expires_at) SELECT id, now() + interval '1 day' FROM person
    RETURNING id, user_id"""


def person(*roles: str, full_name: str = "Test Person") -> Api:
    """Somebody signed in, with these roles (`user` when none is named) and `PASSWORD`."""
    email = f"{secrets.token_hex(8)}@example.com"
    params = {"email": email, "full_name": full_name, "hash": _hash(), "roles": list(roles or ("user",))}
    with owner_engine().begin() as connection:
        made = connection.exec_driver_sql(_MAKE, params).one()
    return signed_in(made.user_id, made.id, email)


def signed_in(user_id: UUID, session_id: UUID, email: str) -> Api:
    """A client that holds an access token of this session."""
    token = tokens.issue(token_keys()[0], user_id=user_id, session_id=session_id)
    return Api(token=token, user={"id": str(user_id), "email": email})


@lru_cache(maxsize=1)
def _hash() -> str:
    return hash_password(PASSWORD)
