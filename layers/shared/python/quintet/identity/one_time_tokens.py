"""Tokens that work once, of which only a hash is stored.

`email_sender` mints those that are mailed, and `auth` spends them; `realtime` mints tickets to connect with, and
spends them in a statement of its own.
"""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from quintet.db.models.accounts import User, UserStatus
from quintet.db.models.sessions import OneTimeToken, TokenPurpose

GRACE = timedelta(days=30)
"""How long a deleted account can be taken back."""

LIFETIMES: dict[TokenPurpose, timedelta] = {
    "password_reset": timedelta(minutes=30),
    "email_verification": timedelta(days=3),
    "realtime_ticket": timedelta(seconds=30),
    "account_restore": GRACE,
    "oauth_state": timedelta(minutes=10),
}
"""How long a token is good for, unless nobody is waiting for it."""


def mint(
    session: Session,
    *,
    user_id: UUID,
    email: str,
    purpose: TokenPurpose,
    lifetime: timedelta,
    session_id: UUID | None = None,
) -> str:
    """A new token for `user_id`, to be sent to `email`, or for use with their session."""
    token = secrets.token_urlsafe(32)
    session.add(
        OneTimeToken(
            hash=hash_of(token),
            purpose=purpose,
            user_id=user_id,
            session_id=session_id,
            email=email,
            expires_at=func.now() + lifetime,
        )
    )
    session.flush()
    return token


def spend(session: Session, *, token: str, purpose: TokenPurpose, status: UserStatus = "active") -> User | None:
    """The account a valid token stands for, locked; None when it is unknown, used, expired or its address changed.

    The token works no more, nor does any other of that account and purpose. `status` is what the account has to be.
    """
    valid = (
        OneTimeToken.hash == hash_of(token),
        OneTimeToken.purpose == purpose,
        OneTimeToken.used_at.is_(None),
        OneTimeToken.expires_at > func.now(),
    )
    user = session.scalar(
        select(User)
        .join(OneTimeToken, (OneTimeToken.user_id == User.id) & (OneTimeToken.email == User.email))
        .where(*valid, User.status == status)
        .with_for_update(of=User)
    )
    if user is None:
        return None
    # Whoever waited for the account's lock while another spent the token finds it used.
    return user if hash_of(token) in void(session, user_id=user.id, purpose=purpose) else None


def void(session: Session, *, user_id: UUID, purpose: TokenPurpose) -> Sequence[bytes]:
    """Make every token of the account and purpose work no more; returns the hashes of those that did."""
    return session.scalars(
        update(OneTimeToken)
        .where(OneTimeToken.user_id == user_id, OneTimeToken.purpose == purpose, OneTimeToken.used_at.is_(None))
        .values(used_at=func.now())
        .returning(OneTimeToken.hash)
    ).all()


def hash_of(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).digest()
