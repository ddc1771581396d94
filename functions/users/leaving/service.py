"""The rules of leaving: who owns nothing that others would be left without may go, and has 30 days to come back."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session, aliased

from functions.users.accounts.service import require_another_admin, roles_of
from quintet.db.models.accounts import User
from quintet.db.models.projects import Project, ProjectMember
from quintet.db.models.sessions import UserSession
from quintet.errors import Conflict, FieldError, Forbidden, Unauthorized
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.one_time_tokens import GRACE
from quintet.identity.passwords import PasswordRefused, verify_password
from quintet.identity.permissions import ADMIN
from quintet.identity.principal import Principal
from quintet.identity.sessions import end_sessions

FRESH = 10 * 60
"""Seconds since a sign-in in which nobody asks for the password."""


def request_deletion(session: Session, caller: Principal, *, password: str | None) -> datetime:
    """Disable the caller's account, to be erased after the time of grace; from when on, it answers."""
    user = session.scalars(select(User).where(User.id == caller.user_id).with_for_update()).one()
    if user.status != "active":  # since the caller was let in: by an administrator, or by this very request
        raise Unauthorized("The session has ended. Sign in again.")
    scope = scope_of("user", user.id)
    if password is None:
        _require_fresh(session, caller)
    elif not verify_password(password, user.password_hash)[0]:
        record(session, EventType.ACCOUNT_PASSWORD_REFUSED, subject=user.id, scope=scope)
        raise PasswordRefused.at("/password", "This is not the account's password.")
    if any(role.name == ADMIN for role in roles_of(session, user.id)):
        require_another_admin(session, user.id)
    _require_heirs(session, user.id)
    user.apply({"status": "disabled"})
    user.deletion_requested_at = func.now()
    session.flush()
    ended = end_sessions(session, user.id)
    record(session, EventType.ACCOUNT_DELETION_REQUESTED, subject=user.id, scope=scope, data={"sessions_ended": ended})
    assert user.deletion_requested_at
    return user.deletion_requested_at + GRACE


def _require_fresh(session: Session, caller: Principal) -> None:
    began = session.scalars(
        select(func.extract("epoch", func.now() - UserSession.issued_at)).where(UserSession.id == caller.session_id)
    ).one()
    if began > FRESH:
        raise Forbidden(
            "Send the account's password, or sign in again and repeat this within ten minutes.",
            next={"rel": "sign-in", "href": "/auth/login"},
        )


def _require_heirs(session: Session, user_id: UUID) -> None:
    """409 while there are projects of theirs in which others work and nobody else is an owner; who has left does not
    count."""
    other, account = aliased(ProjectMember), aliased(User)
    others = exists().where(
        other.project_id == Project.id,
        other.user_id != user_id,
        account.id == other.user_id,
        account.status == "active",
    )
    stranded = session.execute(
        select(Project.id, Project.title)
        .join(ProjectMember, ProjectMember.project_id == Project.id)
        .where(ProjectMember.user_id == user_id, ProjectMember.role == "owner")
        .where(Project.status != "archived", others, ~others.where(other.role == "owner"))
        .order_by(Project.id)
        .limit(20)
    ).all()
    if stranded:
        raise Conflict(
            "Others work in projects that nobody but you owns. Make another member an owner of each, or archive it.",
            errors=[FieldError(f"/projects/{row.id}", row.title) for row in stranded],
            next={"rel": "projects", "href": "/projects"},
        )
