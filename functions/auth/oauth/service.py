"""The rules of sign-in by a provider: whom it signs in, and what an address it has verified is worth.

An address counts only if the provider has verified it. It links to an account whose own address is verified; one
that is not proves nothing, so of such an account everything goes that its maker could get in by.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from functions.auth.oauth import queries
from functions.auth.queries import Account, begin_session
from functions.auth.service import Tokens, add_account, claim, prove_address, tokens_of
from quintet.db.models.accounts import Role, User
from quintet.db.models.sessions import OAuthIdentity
from quintet.errors import Conflict, NotFound
from quintet.events.record import SYSTEM, record, scope_of
from quintet.events.types import EventType
from quintet.identity.keys import TokenKeys
from quintet.identity.permissions import NEWCOMER
from quintet.identity.principal import Principal
from quintet.identity.sessions import is_alive
from quintet.oauth.authorization import AuthorizationRefused, Resumed
from quintet.oauth.providers import Client

if TYPE_CHECKING:
    from functions.auth.oauth.people import Person


def refuse(session: Session, client: Client, refused: AuthorizationRefused) -> None:
    """Record an attempt that came to nothing."""
    about = {"provider": client.provider.name, "reason": refused.reason}
    if refused.user_id:
        about["user_id"] = str(refused.user_id)
    scope = scope_of("user", refused.user_id) if refused.user_id else SYSTEM
    record(session, EventType.SESSION_REFUSED, subject=None, scope=scope, data=about)


def sign_in(session: Session, client: Client, *, person: "Person", keys: TokenKeys, user_agent: str | None) -> Tokens:
    """A new session of the account this person has, or gets."""
    provider = client.provider.name
    account = queries.arrive(session, provider, person) or _by_address(session, client, person)
    session_id = begin_session(session, account, user_agent, provider=provider)
    if session_id is None:
        raise _disabled(session.get_one(User, account.id))
    return tokens_of(keys, user_id=account.id, session_id=session_id, counter=0)


def link(session: Session, client: Client, *, begun: Resumed, person: "Person") -> OAuthIdentity:
    """The identity, linked to the account in whose session this was begun. Repeatable."""
    user = session.scalar(select(User).where(User.id == begun.user_id, User.status == "active").with_for_update())
    if user is None or not is_alive(session, begun.session_id):
        detail = "You have signed out meanwhile. Sign in and begin again."
        raise AuthorizationRefused(400, "session_ended", detail, at="state", user_id=begun.user_id)
    queries.forget_unlinked(session, client.provider.name, person)
    identity: OAuthIdentity | None = session.scalar(
        select(OAuthIdentity).where(
            OAuthIdentity.provider == client.provider.name, OAuthIdentity.subject == person.subject
        )
    )
    if identity is None:
        identity = _identity(user, client, person)
        session.add(identity)
        session.flush()
        _record(session, EventType.ACCOUNT_IDENTITY_LINKED, user.id, client.provider.name)
    elif identity.user_id != user.id:
        raise AuthorizationRefused(
            409,
            "linked_elsewhere",
            f"This account at {client.provider.title} signs in to another one here.",
            user_id=user.id,
        )
    return identity


def unlink(session: Session, caller: Principal, *, identity_id: UUID) -> None:
    """Have an identity sign in no more, until it is linked again; 409 when there is no other way to."""
    user = session.scalars(select(User).where(User.id == caller.user_id).with_for_update()).one()
    linked = OAuthIdentity.user_id == user.id, OAuthIdentity.unlinked_at.is_(None)
    identities = session.scalars(select(OAuthIdentity).where(*linked)).all()
    identity = next((identity for identity in identities if identity.id == identity_id), None)
    if identity is None:
        raise NotFound
    if user.password_hash is None and len(identities) == 1:
        raise Conflict(
            "This is the only way to sign in to your account. Set a password first, by asking for a reset.",
            next={"rel": "password-reset", "href": "/auth/password-reset"},
        )
    identity.unlinked_at = func.now()
    identity.email = None
    _record(session, EventType.ACCOUNT_IDENTITY_UNLINKED, user.id, identity.provider)


def _by_address(session: Session, client: Client, person: "Person") -> Account:
    """The account with this person's address, or a new one; the identity is linked to it."""
    if person.email is None:
        detail = f"{client.provider.title} knows no verified email address of you. Verify yours there."
        raise AuthorizationRefused(403, "no_verified_email", detail)
    user = session.scalar(select(User).where(User.email == person.email).with_for_update())
    unlinked_from = queries.forget_unlinked(session, client.provider.name, person)
    if user is not None and user.id == unlinked_from:
        detail = f"You have unlinked this account at {client.provider.title}. Sign in another way, and link it again."
        raise AuthorizationRefused(403, "unlinked", detail, user_id=user.id)
    if user is None:
        user = _newcomer(session, client, person)
    else:
        _take_over(session, client, user)
    session.add(_identity(user, client, person))
    session.flush()
    return Account(user.id, user.password_hash)


def _newcomer(session: Session, client: Client, person: "Person") -> User:
    user = User(email=person.email, full_name=person.name)
    role = session.scalars(select(Role).where(Role.name == NEWCOMER)).one()
    add_account(session, user, role, provider=client.provider.name)
    prove_address(session, user)
    return user


def _take_over(session: Session, client: Client, user: User) -> None:
    """An account gets a way to sign in by its address; one whose address was not proven is its owner's only now."""
    if user.status != "active":
        raise _disabled(user)
    if user.email_verified_at is not None:
        _record(session, EventType.ACCOUNT_IDENTITY_LINKED, user.id, client.provider.name)
        return
    user.password_hash = None
    user.touch()
    claim(session, user, provider=client.provider.name)


def _identity(user: User, client: Client, person: "Person") -> OAuthIdentity:
    return OAuthIdentity(user_id=user.id, provider=client.provider.name, subject=person.subject, email=person.email)


def _disabled(user: User) -> AuthorizationRefused:
    detail = "This account is disabled. Ask an administrator."
    if user.deletion_requested_at:
        detail = "This account was deleted. The email that says so has a link that takes it back."
    return AuthorizationRefused(403, "disabled", detail, user_id=user.id)


def _record(session: Session, type: EventType, user_id: UUID, provider: str) -> None:
    record(
        session,
        type,
        subject=user_id,
        scope=scope_of("user", user_id),
        data={"provider": provider},
        actor_id=user_id,
    )
