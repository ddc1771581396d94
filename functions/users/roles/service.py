"""The rules of roles: nobody makes, changes or removes one that permits more than they may do themselves."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from functions.users.accounts.service import touch_all
from functions.users.roles.schemas import RoleCreate, RoleUpdate
from quintet.db.models.accounts import Role, UserRole
from quintet.errors import Conflict, Forbidden, NotFound
from quintet.events.record import SYSTEM, record
from quintet.events.types import EventType
from quintet.identity.permissions import ADMIN, NEWCOMER, Permission
from quintet.identity.principal import Principal


def create_role(session: Session, caller: Principal, *, new: RoleCreate) -> Role:
    """A new role."""
    caller.require(Permission.ROLES_WRITE)
    _require_holding(caller, new.permissions)
    role = Role(**new.model_dump())
    session.add(role)
    session.flush()
    _record(session, EventType.ROLE_CREATED, role, permissions=role.permissions)
    return role


def update_role(
    session: Session, caller: Principal, *, role_id: UUID, change: RoleUpdate, expected: frozenset[int] | None
) -> Role:
    """Change the fields sent; what the role permits changes at once for everybody who holds it."""
    role = _locked(session, caller, role_id, expected)
    changes = change.changes()
    _require_holding(caller, changes.get("permissions", ()))
    if role.name == NEWCOMER and changes.get("name", NEWCOMER) != NEWCOMER:
        raise Conflict(f"The role {NEWCOMER} is what every new account gets; it keeps its name.")
    fields = role.apply(changes)
    if fields:
        _record(session, EventType.ROLE_UPDATED, role, fields=fields, permissions=role.permissions)
    if "name" in fields:
        touch_all(session, select(UserRole.user_id).where(UserRole.role_id == role_id))
    return role


def delete_role(session: Session, caller: Principal, *, role_id: UUID, expected: frozenset[int] | None) -> None:
    """Remove a role that nobody holds."""
    role = _locked(session, caller, role_id, expected)
    if role.name == NEWCOMER:
        raise Conflict(f"The role {NEWCOMER} is what every new account gets; it stays.")
    if session.scalar(select(exists().where(UserRole.role_id == role_id))):
        raise Conflict(
            "There are accounts that hold this role. Take it off them first.",
            next={"rel": "holders", "href": f"/users?role={role.name}"},
        )
    session.delete(role)
    _record(session, EventType.ROLE_REMOVED, role)


def _locked(session: Session, caller: Principal, role_id: UUID, expected: frozenset[int] | None) -> Role:
    caller.require(Permission.ROLES_WRITE)
    role = session.scalar(select(Role).where(Role.id == role_id).with_for_update())
    if role is None:
        raise NotFound
    if role.name == ADMIN:
        raise Conflict(f"The role {ADMIN} cannot be changed or removed.")
    _require_holding(caller, role.permissions)
    role.require_version(expected)
    return role


def _require_holding(caller: Principal, permissions: Iterable[str]) -> None:
    if not caller.holds(permissions):
        raise Forbidden("The role permits what none of your own roles does.")


def _record(session: Session, type: EventType, role: Role, **data: Any) -> None:
    record(session, type, subject=role.id, scope=SYSTEM, data={"name": role.name, **data})
