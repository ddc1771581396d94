"""The rules of accounts: who may change what of whom. Nobody gives, or gets at, permissions they do not hold."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Select, delete, exists, select, update
from sqlalchemy.orm import Session

from functions.users.accounts.queries import references_to
from functions.users.accounts.schemas import UserCreate, UserUpdate
from quintet.db.models.accounts import Role, User, UserRole
from quintet.db.models.addresses import FormerAddress
from quintet.errors import BadRequest, Conflict, FieldError, Forbidden, NotFound
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.one_time_tokens import void
from quintet.identity.passwords import check_strength, hash_password
from quintet.identity.permissions import ADMIN, Permission
from quintet.identity.principal import Principal
from quintet.identity.sessions import end_sessions

_ADMINISTRATIVE = frozenset({"roles", "status"})


def create_account(session: Session, caller: Principal, *, new: UserCreate) -> UUID:
    """A new account with roles the caller may give; without a password its owner is invited."""
    caller.require(Permission.USERS_WRITE)
    roles = _roles_named(session, new.roles)
    _require_power_over(caller, roles)
    if new.password is not None:
        check_strength(new.password, new.email, new.full_name, new.username or "")
    user = User(
        email=new.email,
        full_name=new.full_name,
        username=new.username,
        password_hash=None if new.password is None else hash_password(new.password),
    )
    session.add(user)
    session.flush()
    session.add_all(UserRole(user_id=user.id, role_id=role.id) for role in roles)
    _record(
        session,
        EventType.ACCOUNT_CREATED,
        user.id,
        roles=[role.name for role in roles],
        invited=new.password is None,
    )
    if new.password is not None:  # an invitation would have proven the address
        _record(session, EventType.ACCOUNT_EMAIL_VERIFICATION_REQUESTED, user.id)
    return user.id


def update_account(
    session: Session, caller: Principal, *, user_id: UUID, change: UserUpdate, expected: frozenset[int] | None
) -> None:
    """Change the fields sent, of oneself or with `users:write`; roles and status only with that."""
    changes = change.changes()
    _require_access(caller, user_id, changes)
    # Roles are locked before accounts, here as where a role is renamed: no deadlock.
    wanted = _roles_named(session, changes.pop("roles")) if "roles" in changes else None
    user = _locked(session, user_id, expected)
    if user.erased_at:
        raise Conflict("This account was deleted by its owner; nothing of it is left to change.")
    if user_id != caller.user_id or wanted is not None or "status" in changes:
        held = roles_of(session, user_id)
        _require_power_over(caller, held)
        roles = held if wanted is None else wanted
        if _is_admin(user.status, held) and not _is_admin(changes.get("status", user.status), roles):
            require_another_admin(session, user_id)
        if roles != held:
            _set_roles(session, caller, user, held, roles)
    _set_fields(session, user, changes)


def disable_account(session: Session, caller: Principal, *, user_id: UUID, expected: frozenset[int] | None) -> None:
    """Nobody signs in as this account any more; it can be made active again. Repeatable."""
    update_account(session, caller, user_id=user_id, change=UserUpdate(status="disabled"), expected=expected)


def purge_account(session: Session, caller: Principal, *, user_id: UUID, expected: frozenset[int] | None) -> None:
    """Remove for good, if nothing of the account's own would be left behind. Of conversations that is what it said."""
    _require_access(caller, user_id, {"status"})
    user = _locked(session, user_id, expected)
    held = roles_of(session, user_id)
    _require_power_over(caller, held)
    if _is_admin(user.status, held):
        require_another_admin(session, user_id)
    from quintet.events import conversations, courses  # and the models of all that conversations are about
    from quintet.exports import remove_exports

    conversations.leave_all(session, user_id)
    courses.leave_all(session, user_id)
    remove_exports(session, user_id)
    if left := references_to(session, user_id):
        listed = ", ".join(f"{kind}: {n}" for kind, n in left.items())
        raise Conflict(f"Still refers to this account: {listed}. Remove or hand over these, or only disable it.")
    session.delete(user)
    _record(session, EventType.ACCOUNT_REMOVED, user_id)


def touch_all(session: Session, ids: Select[UUID]) -> None:
    """Count up the version of these accounts: something that is shown with them has changed its name."""
    locked = select(User.id).where(User.id.in_(ids)).order_by(User.id).with_for_update(key_share=True).cte("locked")
    session.execute(
        update(User).where(User.id.in_(select(locked.c.id))).values(version=User.version + 1),
        execution_options={"synchronize_session": False},
    )


def _require_access(caller: Principal, user_id: UUID, fields: Collection[str]) -> None:
    if caller.can(Permission.USERS_WRITE):
        return
    if user_id != caller.user_id and not caller.can(Permission.USERS_READ):
        raise NotFound
    if user_id != caller.user_id or not _ADMINISTRATIVE.isdisjoint(fields):
        caller.require(Permission.USERS_WRITE)


def _require_power_over(caller: Principal, roles: Sequence[Role]) -> None:
    """403 unless the caller holds all that these roles permit.

    Else an account manager would become an administrator by a role they give, or by an administrator's account
    whose address they change to their own.
    """
    lacking = [role.name for role in roles if not caller.holds(role.permissions)]
    if lacking:
        raise Forbidden(f"You lack permissions of the role {', '.join(lacking)}, so you cannot manage who holds it.")


def _locked(session: Session, user_id: UUID, expected: frozenset[int] | None) -> User:
    user = session.scalar(select(User).where(User.id == user_id).with_for_update(key_share=True))
    if user is None:
        raise NotFound
    user.require_version(expected)
    return user


def roles_of(session: Session, user_id: UUID) -> Sequence[Role]:
    """To be asked once the account is locked: a join in the locking statement might show roles from before."""
    held = select(UserRole.role_id).where(UserRole.user_id == user_id)
    return session.scalars(select(Role).where(Role.id.in_(held)).order_by(Role.name)).all()


def _roles_named(session: Session, names: Sequence[str]) -> Sequence[Role]:
    roles = session.scalars(
        select(Role).where(Role.name.in_(names)).order_by(Role.name).with_for_update(read=True, key_share=True)
    ).all()
    known = {role.name for role in roles}
    unknown = [FieldError(f"/roles/{n}", "There is no such role.") for n, name in enumerate(names) if name not in known]
    if unknown:
        raise BadRequest("The input is not valid.", errors=unknown)
    return roles


def _is_admin(status: str, roles: Sequence[Role]) -> bool:
    return status == "active" and any(role.name == ADMIN for role in roles)


def require_another_admin(session: Session, user_id: UUID) -> None:
    """409 unless another active account is an administrator. Who would be the last waits for the role's lock."""
    admin = session.scalars(select(Role.id).where(Role.name == ADMIN).with_for_update(key_share=True)).one()
    others = exists().where(
        UserRole.role_id == admin, UserRole.user_id == User.id, User.id != user_id, User.status == "active"
    )
    if not session.scalar(select(others)):
        raise Conflict("This is the last active administrator. Make somebody else one first.")


def _set_roles(session: Session, caller: Principal, user: User, held: Sequence[Role], wanted: Sequence[Role]) -> None:
    given = [role for role in wanted if role not in held]
    taken = [role for role in held if role not in wanted]
    _require_power_over(caller, given)
    if taken:
        of_account = UserRole.user_id == user.id
        session.execute(delete(UserRole).where(of_account, UserRole.role_id.in_(role.id for role in taken)))
    session.add_all(UserRole(user_id=user.id, role_id=role.id) for role in given)
    user.touch()
    _record(
        session,
        EventType.ACCOUNT_ROLES_CHANGED,
        user.id,
        given=[role.name for role in given],
        taken=[role.name for role in taken],
    )


def _set_fields(session: Session, user: User, changes: dict[str, Any]) -> None:
    """Set fields, and record what that means.

    What was mailed to an address before is bound to it, so no link works once the account has moved on.
    """
    former = user.email
    moved = "email" in changes and changes["email"].lower() != former.lower()
    fields = user.apply(changes)
    if moved:
        user.email_verified_at = None
    if profile := [name for name in fields if name != "status"]:
        _record(session, EventType.ACCOUNT_UPDATED, user.id, fields=profile)
    if moved:
        moving = _record(session, EventType.ACCOUNT_EMAIL_CHANGED, user.id)
        session.add(FormerAddress(event_id=moving, user_id=user.id, email=former))
        _record(session, EventType.ACCOUNT_EMAIL_VERIFICATION_REQUESTED, user.id)
    if "status" not in fields:
        if changes.get("status") == "disabled" and user.deletion_requested_at:  # by its owner, who is not to come back
            void(session, user_id=user.id, purpose="account_restore")
        return
    user.deletion_requested_at = None  # should its owner have deleted it
    if user.status == "active":
        _record(session, EventType.ACCOUNT_ENABLED, user.id)
    else:
        _record(session, EventType.ACCOUNT_DISABLED, user.id, sessions_ended=end_sessions(session, user.id))


def _record(session: Session, type: EventType, user_id: UUID, **data: Any) -> UUID:
    return record(session, type, subject=user_id, scope=scope_of("user", user_id), data=data)
