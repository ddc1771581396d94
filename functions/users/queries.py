"""The SQL of accounts."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.users.schemas import UserRead
from quintet.db.json import Versioned, columns_of, one

_ROLES = """ARRAY(
    SELECT r.name FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id ORDER BY r.name)"""

_DIVISIONS = """(
    SELECT coalesce(json_agg(json_build_object('id', d.id, 'name', d.name) ORDER BY d.name), '[]')
    FROM user_divisions ud JOIN divisions d ON d.id = ud.division_id WHERE ud.user_id = u.id)"""

_COLUMNS = columns_of(
    UserRead, "u", email_verified="u.email_verified_at IS NOT NULL", roles=_ROLES, divisions=_DIVISIONS
)


def read_user(session: Session, user_id: UUID) -> Versioned:
    """One account; 404 when there is none."""
    return one(session, f"SELECT {_COLUMNS} FROM users u WHERE u.id = %(id)s", {"id": user_id})
