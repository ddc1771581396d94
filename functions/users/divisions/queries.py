"""The SQL of divisions."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.users.divisions.schemas import DivisionMemberRead, DivisionRead
from quintet.db.json import Versioned, columns_of, one, page
from quintet.errors import Forbidden, NotFound
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_DIVISIONS = f"SELECT {columns_of(DivisionRead, 'd')} FROM divisions d"

_MEMBERS = f"""
    SELECT {columns_of(DivisionMemberRead, "u")}
    FROM user_divisions ud JOIN users u ON u.id = ud.user_id
    WHERE ud.division_id = %(division_id)s AND ud.user_id < %(before)s"""

_BELONGS = """
    SELECT EXISTS (SELECT FROM user_divisions ud WHERE ud.division_id = d.id AND ud.user_id = %(caller)s)
    FROM divisions d WHERE d.id = %(division_id)s"""


def list_divisions(session: Session, paging: PageRequest) -> bytes:
    """A page of all divisions."""
    return page(session, f"{_DIVISIONS} WHERE d.id < %(before)s", {}, paging)


def read_division(session: Session, division_id: UUID) -> Versioned:
    """One division; 404 when there is none."""
    return one(session, f"{_DIVISIONS} WHERE d.id = %(id)s", {"id": division_id})


def list_members(session: Session, caller: Principal, division_id: UUID, paging: PageRequest) -> bytes:
    """A page of a division's members, for them and with `users:read`."""
    params = {"division_id": division_id, "caller": caller.user_id}
    belongs = session.connection().exec_driver_sql(_BELONGS, params).scalar_one_or_none()
    if belongs is None:
        raise NotFound
    if not belongs and not caller.can(Permission.USERS_READ):
        raise Forbidden(f"This is for the division's members and those with the permission {Permission.USERS_READ}.")
    return page(session, _MEMBERS, params, paging)
