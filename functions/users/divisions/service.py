"""The rules of divisions. Belonging to one permits nothing by itself."""

from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from functions.users.accounts.service import touch_all
from functions.users.divisions.schemas import DivisionCreate, DivisionUpdate
from quintet.db.models.accounts import Division, User, UserDivision
from quintet.errors import NotFound
from quintet.events.record import SYSTEM, record
from quintet.events.types import EventType
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal


def create_division(session: Session, caller: Principal, *, new: DivisionCreate) -> Division:
    """A new division, without members."""
    caller.require(Permission.DIVISIONS_WRITE)
    division = Division(**new.model_dump())
    session.add(division)
    session.flush()
    _record(session, EventType.DIVISION_CREATED, division.id)
    return division


def update_division(
    session: Session, caller: Principal, *, division_id: UUID, change: DivisionUpdate, expected: frozenset[int] | None
) -> Division:
    """Change the fields sent."""
    division = _locked(session, caller, division_id)
    division.require_version(expected)
    if fields := division.apply(change.changes()):
        _record(session, EventType.DIVISION_UPDATED, division_id, fields=fields)
        touch_all(session, _members(division_id))
    return division


def delete_division(session: Session, caller: Principal, *, division_id: UUID, expected: frozenset[int] | None) -> None:
    """Remove a division; its members belong to it no more."""
    division = _locked(session, caller, division_id)
    division.require_version(expected)
    touch_all(session, _members(division_id))
    session.delete(division)
    _record(session, EventType.DIVISION_REMOVED, division_id)


def add_member(session: Session, caller: Principal, *, division_id: UUID, user_id: UUID) -> None:
    """Have an account belong to a division. Repeatable."""
    user = _locked_member(session, caller, division_id, user_id)
    added = session.scalar(
        insert(UserDivision)
        .values(division_id=division_id, user_id=user_id)
        .on_conflict_do_nothing()
        .returning(UserDivision.user_id)
    )
    if added:
        user.touch()
        _record(session, EventType.DIVISION_MEMBER_ADDED, division_id, user_id=str(user_id))


def remove_member(session: Session, caller: Principal, *, division_id: UUID, user_id: UUID) -> None:
    """Have an account belong to a division no more; 404 when it does not."""
    user = _locked_member(session, caller, division_id, user_id)
    removed = session.scalar(
        delete(UserDivision)
        .where(UserDivision.division_id == division_id, UserDivision.user_id == user_id)
        .returning(UserDivision.user_id)
    )
    if removed is None:
        raise NotFound("This account does not belong to the division.")
    user.touch()
    _record(session, EventType.DIVISION_MEMBER_REMOVED, division_id, user_id=str(user_id))


def _locked(session: Session, caller: Principal, division_id: UUID, *, key_only: bool = False) -> Division:
    """The division, before any account: who renames it locks its members next, and nobody the other way round."""
    caller.require(Permission.DIVISIONS_WRITE)
    division = session.scalar(
        select(Division).where(Division.id == division_id).with_for_update(read=key_only, key_share=key_only)
    )
    if division is None:
        raise NotFound
    return division


def _locked_member(session: Session, caller: Principal, division_id: UUID, user_id: UUID) -> User:
    _locked(session, caller, division_id, key_only=True)
    user = session.scalar(select(User).where(User.id == user_id).with_for_update(key_share=True))
    if user is None:
        raise NotFound("There is no account with this id.")
    return user


def _members(division_id: UUID) -> Select[UUID]:
    return select(UserDivision.user_id).where(UserDivision.division_id == division_id)


def _record(session: Session, type: EventType, division_id: UUID, **data: Any) -> None:
    record(session, type, subject=division_id, scope=SYSTEM, data=data)
