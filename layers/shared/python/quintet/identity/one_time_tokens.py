"""Tokens that are mailed and work once: `email_sender` mints them, `auth` spends them; only a hash is stored."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from quintet.db.models.accounts import User
from quintet.db.models.sessions import OneTimeToken, TokenPurpose

LIFETIMES: dict[TokenPurpose, timedelta] = {
    "password_reset": timedelta(minutes=30),
    "email_verification": timedelta(days=3),
}
"""How long a token is good for, unless nobody is waiting for it."""


def mint(session: Session, *, user_id: UUID, email: str, purpose: TokenPurpose, lifetime: timedelta) -> str:
    """A new token for `user_id`, to be sent to `email`."""
    token = secrets.token_urlsafe(32)
    session.add(
        OneTimeToken(
            hash=_hash(token),
            purpose=purpose,
            user_id=user_id,
            email=email,
            expires_at=func.now() + lifetime,
        )
    )
    session.flush()
    return token


def spend(session: Session, *, token: str, purpose: TokenPurpose) -> User | None:
    """The account a valid token stands for, locked; None when it is unknown, used, expired or its address changed.

    The token works no more, nor does any other of that account and purpose.
    """
    valid = (
        OneTimeToken.hash == _hash(token),
        OneTimeToken.purpose == purpose,
        OneTimeToken.used_at.is_(None),
        OneTimeToken.expires_at > func.now(),
    )
    user = session.scalar(
        select(User)
        .join(OneTimeToken, (OneTimeToken.user_id == User.id) & (OneTimeToken.email == User.email))
        .where(*valid, User.status == "active")
        .with_for_update(of=User)
    )
    if user is None:
        return None
    # Whoever waited for the account's lock while another spent the token finds it used.
    return user if _hash(token) in void(session, user_id=user.id, purpose=purpose) else None


def void(session: Session, *, user_id: UUID, purpose: TokenPurpose) -> Sequence[bytes]:
    """Make every token of the account and purpose work no more; returns the hashes of those that did."""
    return session.scalars(
        update(OneTimeToken)
        .where(OneTimeToken.user_id == user_id, OneTimeToken.purpose == purpose, OneTimeToken.used_at.is_(None))
        .values(used_at=func.now())
        .returning(OneTimeToken.hash)
    ).all()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
