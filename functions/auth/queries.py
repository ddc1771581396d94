"""The SQL of sessions and public keys."""

from sqlalchemy.orm import Session

from functions.auth.schemas import SessionRead
from quintet.db.json import columns_of, page
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_SESSIONS = f"""
    SELECT {columns_of(SessionRead, "s", ip="host(s.ip)", current="s.id = %(current)s")}
    FROM sessions s
    WHERE s.user_id = %(caller)s AND s.revoked_at IS NULL AND s.expires_at > now() AND s.id < %(before)s"""

_KEYS = (
    "SELECT json_build_object('keys', coalesce(json_agg(jwk ORDER BY created_at DESC), '[]'))::text FROM signing_keys"
)


def list_sessions(session: Session, caller: Principal, paging: PageRequest) -> bytes:
    """A page of the caller's own sessions, newest first."""
    return page(session, _SESSIONS, {"caller": caller.user_id, "current": caller.session_id}, paging)


def public_keys(session: Session) -> bytes:
    """The JWK set that verifies access tokens."""
    keys: str = session.connection().exec_driver_sql(_KEYS).scalar_one()
    return keys.encode()
