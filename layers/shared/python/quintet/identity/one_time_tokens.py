"""Tokens that are mailed and work once: `email_sender` mints them, `auth` spends them; only a hash is stored."""

import hashlib
import secrets
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from quintet.db.models import OneTimeToken, User


class Purpose(StrEnum):
    """What a token is good for."""

    PASSWORD_RESET = "password_reset"
    EMAIL_VERIFICATION = "email_verification"


LIFETIMES = {Purpose.PASSWORD_RESET: timedelta(minutes=30), Purpose.EMAIL_VERIFICATION: timedelta(days=3)}


def mint(session: Session, *, user_id: UUID, email: str, purpose: Purpose, lifetime: timedelta | None = None) -> str:
    """A new token for `user_id`, to be sent to `email`; `lifetime` replaces the purpose's own."""
    token = secrets.token_urlsafe(32)
    session.add(
        OneTimeToken(
            hash=_hash(token),
            purpose=purpose,
            user_id=user_id,
            email=email,
            expires_at=func.now() + (lifetime or LIFETIMES[purpose]),
        )
    )
    session.flush()
    return token


def spend(session: Session, *, token: str, purpose: Purpose) -> User | None:
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
    spent = session.execute(
        update(OneTimeToken)
        .where(OneTimeToken.user_id == user.id, OneTimeToken.purpose == purpose, OneTimeToken.used_at.is_(None))
        .values(used_at=func.now())
        .returning(OneTimeToken.hash)
    )
    # Whoever waited for the account's lock while another spent the token finds it used.
    return user if _hash(token) in spent.scalars().all() else None


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
