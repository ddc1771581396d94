"""The rules of accounts and sessions. Nothing here tells whether an address has an account, but registration."""

from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from functions.auth import queries
from functions.auth.refresh import refresh_token
from functions.auth.schemas import AccountCreate
from quintet.db.models.accounts import Role, User, UserRole
from quintet.db.models.sessions import UserSession
from quintet.errors import BadRequest, NotFound, Unauthorized
from quintet.events.record import SYSTEM, record, scope_of
from quintet.events.types import EventType
from quintet.identity import tokens
from quintet.identity.keys import TokenKeys, token_keys
from quintet.identity.one_time_tokens import spend, void
from quintet.identity.passwords import PasswordRefused, check_strength, hash_password, verify_password
from quintet.identity.permissions import NEWCOMER
from quintet.identity.principal import Principal
from quintet.identity.sessions import end_sessions


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a sign-in or a refresh gives."""

    access: str
    refresh: str


def register(session: Session, *, new: AccountCreate) -> User:
    """A new account with one role; a verification email follows."""
    role = session.scalar(select(Role).where(Role.name == new.role, Role.self_assignable | (Role.name == NEWCOMER)))
    if role is None:
        raise BadRequest.at("/role", f"Newcomers cannot choose this role. Leave it out, and you get {NEWCOMER!r}.")
    check_strength(new.password, new.email, new.full_name, new.username or "")
    user = User(
        email=new.email,
        username=new.username,
        full_name=new.full_name,
        password_hash=hash_password(new.password),
    )
    add_account(session, user, role)
    return user


def add_account(session: Session, user: User, role: Role, **facts: str) -> None:
    """Store the new account, with this role; `facts` are recorded with that."""
    session.add(user)
    session.flush()
    session.add(UserRole(user_id=user.id, role_id=role.id))
    record(
        session,
        EventType.ACCOUNT_REGISTERED,
        subject=user.id,
        scope=scope_of("user", user.id),
        data={"role": role.name, **facts},
        actor_id=user.id,
    )


def sign_in(session: Session, *, email: str, password: str, user_agent: str | None) -> Tokens:
    """A new session; 401 with the same words and the same time whatever is wrong.

    Outside a transaction: hashing takes longer than everything else together, and nothing is to wait for it.
    """
    keys = token_keys()[0]
    account = queries.find_account(session, email)
    valid, stronger = verify_password(password, account.password_hash if account else None)
    session_id = queries.begin_session(session, account, user_agent) if account and valid else None
    if account is None or session_id is None:
        scope = scope_of("user", account.id) if account else SYSTEM
        data = {"user_id": str(account.id)} if account else {}
        record(session, EventType.SESSION_REFUSED, subject=None, scope=scope, data=data)
        raise Unauthorized("Email or password is wrong.")
    if stronger:
        unchanged = User.id == account.id, User.password_hash == account.password_hash
        session.execute(update(User).where(*unchanged).values(password_hash=stronger))
    return tokens_of(keys, user_id=account.id, session_id=session_id, counter=0)


def tokens_of(keys: TokenKeys, *, user_id: UUID, session_id: UUID, counter: int) -> Tokens:
    """Access and refresh token of a session at this count."""
    return Tokens(
        access=tokens.issue(keys, user_id=user_id, session_id=session_id),
        refresh=refresh_token(keys, session_id, counter),
    )


def sign_out(
    session: Session, *, session_id: UUID, user_id: UUID, scope: Literal["current", "others", "all"] = "current"
) -> None:
    """End the session, all others of its account, or all. Repeatable."""
    chosen = {"current": [UserSession.id == session_id], "others": [UserSession.id != session_id], "all": []}[scope]
    if ended := end_sessions(session, user_id, *chosen):
        record(
            session,
            EventType.SESSION_ENDED,
            subject=session_id,
            scope=scope_of("user", user_id),
            data={"user_id": str(user_id), "ended": scope, "count": ended},
            actor_id=user_id,
        )


def end_session(session: Session, caller: Principal, *, session_id: UUID) -> None:
    """End one of the caller's sessions; 404 for anybody else's."""
    owned = select(UserSession.id).where(
        UserSession.id == session_id,
        UserSession.user_id == caller.user_id,
        UserSession.revoked_at.is_(None),
        UserSession.expires_at > func.now(),
    )
    if session.scalar(owned) is None:
        raise NotFound
    sign_out(session, session_id=session_id, user_id=caller.user_id)


def change_password(session: Session, caller: Principal, *, current: str, new: str) -> None:
    """Set a new password; every session of the account ends."""
    user = session.scalars(select(User).where(User.id == caller.user_id).with_for_update()).one()
    if not verify_password(current, user.password_hash)[0]:
        record(
            session,
            EventType.ACCOUNT_PASSWORD_REFUSED,
            subject=user.id,
            scope=scope_of("user", user.id),
        )
        raise PasswordRefused.at("/current_password", "This is not the account's password.")
    _set_password(session, user, new, pointer="/new_password")


def request_password_reset(session: Session, *, email: str) -> None:
    """Have a reset link mailed. The same is done for an address without an account, so that time tells nothing."""
    user_id = session.scalar(select(User.id).where(User.email == email, User.status == "active"))
    record(
        session,
        EventType.ACCOUNT_PASSWORD_RESET_REQUESTED,
        subject=user_id,
        scope=scope_of("user", user_id) if user_id else SYSTEM,
    )


def confirm_password_reset(session: Session, *, token: str, password: str) -> None:
    """Set a new password by a mailed token; every session of the account ends, and its address is proven.

    Whoever gave the account an address that nobody had proven may be a stranger: nothing they got in by is left.
    """
    user = spend(session, token=token, purpose="password_reset")
    if user is None:
        raise BadRequest.at("/token", "This link has expired or was used before. Ask for a new one.")
    claim(session, user)
    _set_password(session, user, password, pointer="/password")


def request_email_verification(session: Session, caller: Principal) -> None:
    """Have the verification link mailed (again); nothing happens when the address is verified."""
    if not caller.email_verified:
        record(
            session,
            EventType.ACCOUNT_EMAIL_VERIFICATION_REQUESTED,
            subject=caller.user_id,
            scope=scope_of("user", caller.user_id),
        )


def confirm_email(session: Session, *, token: str) -> None:
    """Prove an address by a mailed token."""
    user = spend(session, token=token, purpose="email_verification")
    if user is None:
        raise BadRequest.at("/token", "This link has expired or was used before. Ask for a new one.")
    prove_address(session, user)


def restore_account(session: Session, *, token: str) -> None:
    """Take back an account that its owner deleted, by the token that was mailed then."""
    user = spend(session, token=token, purpose="account_restore", status="disabled")
    if user is None or user.deletion_requested_at is None:
        raise BadRequest.at(
            "/token", "This link has expired or was used before. If it was used, sign in; else ask an administrator."
        )
    user.apply({"status": "active"})
    user.deletion_requested_at = None
    record(session, EventType.ACCOUNT_RESTORED, subject=user.id, scope=scope_of("user", user.id), actor_id=user.id)


def prove_address(session: Session, user: User) -> None:
    """The account's address is its owner's, unless that is known already."""
    if user.email_verified_at is None:
        user.email_verified_at = func.now()
        user.touch()
        record(
            session,
            EventType.ACCOUNT_EMAIL_VERIFIED,
            subject=user.id,
            scope=scope_of("user", user.id),
            actor_id=user.id,
        )


def claim(session: Session, user: User, **facts: str) -> None:
    """The owner of the address, who has just proven it, takes over an account: was it unproven, it is theirs only now.

    What its maker could get in by, or be told by, goes: sessions, tokens, identities, webhooks, integrations; the
    password is the caller's to set. `facts` are recorded with that. Nothing happens when the address was proven.
    """
    if user.email_verified_at is not None:
        return
    queries.take_away(session, user.id)
    record(
        session,
        EventType.ACCOUNT_CLAIMED,
        subject=user.id,
        scope=scope_of("user", user.id),
        data={**facts, "sessions_ended": end_sessions(session, user.id)},
        actor_id=user.id,
    )
    prove_address(session, user)


def _set_password(session: Session, user: User, password: str, *, pointer: str) -> None:
    check_strength(password, user.email, user.full_name, user.username or "", pointer=pointer)
    user.password_hash = hash_password(password)
    user.touch()
    end_sessions(session, user.id)
    void(session, user_id=user.id, purpose="password_reset")
    record(
        session, EventType.ACCOUNT_PASSWORD_CHANGED, subject=user.id, scope=scope_of("user", user.id), actor_id=user.id
    )
