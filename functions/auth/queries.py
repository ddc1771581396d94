"""The SQL of sign-ins, sessions and public keys."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from functions.auth.refresh import IDLE
from functions.auth.schemas import SessionRead
from quintet.db.json import columns_of, page
from quintet.db.reads import rows
from quintet.events.record import change_and_record, scope_of
from quintet.events.types import EventType
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_SESSIONS = f"""
    SELECT {columns_of(SessionRead, "s", ip="host(s.ip)", current="s.id = %(current)s")}
    FROM sessions s
    WHERE s.user_id = %(caller)s AND s.revoked_at IS NULL AND s.expires_at > now() AND s.id < %(before)s"""

_KEYS = (
    "SELECT json_build_object('keys', coalesce(json_agg(jwk ORDER BY created_at DESC), '[]'))::text FROM signing_keys"
)

_TAKE_AWAY = """
    WITH token AS (
        UPDATE one_time_tokens SET used_at = now() WHERE user_id = %(user_id)s AND used_at IS NULL
    ), webhook AS (
        DELETE FROM webhooks WHERE owner_id = %(user_id)s
    ), integration AS (
        DELETE FROM integrations WHERE user_id = %(user_id)s
    )
    DELETE FROM oauth_identities WHERE user_id = %(user_id)s RETURNING id"""


def list_sessions(session: Session, caller: Principal, paging: PageRequest) -> bytes:
    """A page of the caller's own sessions, newest first."""
    return page(session, _SESSIONS, {"caller": caller.user_id, "current": caller.session_id}, paging)


def public_keys(session: Session) -> bytes:
    """The JWK set that verifies access tokens."""
    keys: str = session.connection().exec_driver_sql(_KEYS).scalar_one()
    return keys.encode()


class Account(NamedTuple):
    """What a sign-in needs to know."""

    id: UUID
    password_hash: str | None


_ACCOUNT = "SELECT id, password_hash FROM users WHERE email = %(email)s"

# Nothing of what was verified may have changed by the time the session is committed. The IP address is the event's.
_BEGIN = """
    INSERT INTO sessions (user_id, expires_at, ip, user_agent)
    SELECT id, now() + %(idle)s, %(ip)s, %(user_agent)s FROM users
    WHERE id = %(id)s AND password_hash IS NOT DISTINCT FROM %(password_hash)s AND status = 'active'
    FOR SHARE
    RETURNING id"""


def find_account(session: Session, email: str) -> Account | None:
    """The account with this address, active or not."""
    found = rows(session, _ACCOUNT, {"email": email})
    return Account(*found[0]) if found else None


def begin_session(session: Session, account: Account, user_agent: str | None, **facts: str) -> UUID | None:
    """A new session's id, recorded with `facts`; None when the account was disabled or its password changed since it
    was found."""
    return change_and_record(
        session,
        _BEGIN,
        {
            "id": account.id,
            "password_hash": account.password_hash,
            "idle": IDLE,
            "user_agent": (user_agent or "").replace("\0", "")[:300] or None,
        },
        EventType.SESSION_STARTED,
        scope=scope_of("user", account.id),
        data={"user_id": str(account.id), **facts},
        actor_id=account.id,
    )


def take_away(session: Session, user_id: UUID) -> None:
    """Remove what somebody who made an account could still get in by, or be told by, but for password and sessions."""
    rows(session, _TAKE_AWAY, {"user_id": user_id})
