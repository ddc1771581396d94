"""The caller: one statement, once per request, that also makes sign-out instant."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from quintet.db.reads import rows
from quintet.errors import Forbidden, Unauthorized
from quintet.identity.permissions import EVERYTHING, Permission
from quintet.identity.tokens import verify

# Planned at each request, for the proxy takes no prepared statements: two tables and two lookups plan in half the
# time of one join of four.
_IDENTITY = """
    SELECT u.email, u.email_verified_at IS NOT NULL AS email_verified,
           ARRAY(SELECT unnest(r.permissions) FROM roles r WHERE r.id = ANY (
               ARRAY(SELECT ur.role_id FROM user_roles ur WHERE ur.user_id = u.id))) AS permissions
    FROM sessions s JOIN users u ON u.id = s.user_id
    WHERE s.id = %(session_id)s AND u.id = %(user_id)s
      AND s.revoked_at IS NULL AND s.expires_at > now() AND u.status = 'active'"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A signed-in caller."""

    user_id: UUID
    session_id: UUID
    email: str
    email_verified: bool
    permissions: frozenset[str]

    def can(self, permission: Permission) -> bool:
        """Whether one of the caller's roles allows it."""
        return EVERYTHING in self.permissions or permission in self.permissions

    def holds(self, permissions: Iterable[str]) -> bool:
        """Whether the caller has all of these, so that passing them on gives nobody more than they have."""
        return EVERYTHING in self.permissions or self.permissions.issuperset(permissions)

    def require(self, permission: Permission) -> None:
        """403 unless `can(permission)`."""
        if not self.can(permission):
            raise Forbidden(f"This needs the permission {permission}, which none of your roles has.")


def authenticate(session: Session, authorization: str | None) -> Principal:
    """The caller behind an `Authorization: Bearer` header (RFC 6750); 401 when there is none.

    A pooled connection may have died unnoticed: the request's first statement is tried again on a fresh one.
    """
    try:
        return _authenticate(session, authorization)
    except OperationalError as error:
        if not error.connection_invalidated:
            raise
        session.rollback()
        return _authenticate(session, authorization)


def _authenticate(session: Session, authorization: str | None) -> Principal:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized
    says = verify(session, token.strip())
    if says is None:
        raise Unauthorized("The access token is not valid or has expired. Refresh it, or sign in again.")
    found = rows(session, _IDENTITY, {"session_id": says.session_id, "user_id": says.user_id})
    if not found:
        raise Unauthorized("The session has ended. Sign in again.")
    [row] = found
    return Principal(
        user_id=says.user_id,
        session_id=says.session_id,
        email=row.email,
        email_verified=row.email_verified,
        permissions=frozenset(row.permissions),
    )
