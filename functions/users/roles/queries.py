"""The SQL of roles."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.users.roles.schemas import RoleRead
from quintet.db.json import Versioned, columns_of, one, page
from quintet.pagination import PageRequest

_ROLES = f"SELECT {columns_of(RoleRead, 'r')} FROM roles r"


def list_roles(session: Session, paging: PageRequest) -> bytes:
    """A page of all roles."""
    return page(session, f"{_ROLES} WHERE r.id < %(before)s", {}, paging)


def read_role(session: Session, role_id: UUID) -> Versioned:
    """One role; 404 when there is none."""
    return one(session, f"{_ROLES} WHERE r.id = %(id)s", {"id": role_id})
