"""Ending sessions: whoever holds a token of one is signed out at once, since every request looks at its session."""

from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.orm import Session

from quintet.db.models.sessions import UserSession


def end_sessions(session: Session, user_id: UUID, *which: ColumnElement[bool]) -> int:
    """End the account's sessions, or those of them that meet `which`; returns how many had not ended before."""
    ended = session.scalars(
        update(UserSession)
        .where(UserSession.user_id == user_id, UserSession.revoked_at.is_(None), *which)
        .values(revoked_at=func.now())
        .returning(UserSession.id)
    )
    return len(ended.all())


def is_alive(session: Session, session_id: UUID | None) -> bool:
    """Whether the session has not ended, as of now.

    For what outlives it: to be asked once the account is locked. Whoever takes an account from somebody holds that
    lock, and a statement that has waited for it sees all other tables as they were before.
    """
    alive = exists().where(
        UserSession.id == session_id, UserSession.revoked_at.is_(None), UserSession.expires_at > func.now()
    )
    return bool(session.scalar(select(alive)))
