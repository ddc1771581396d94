"""Refresh tokens: `session.counter.HMAC`, derived rather than stored, each good for one rotation (RFC 9700, 4.14).

Two requests that race with one token, and a retry within ten seconds, get the same successor. An older token
means that somebody else has it: the session ends.
"""

import base64
import hmac
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from quintet.db.models.accounts import User
from quintet.db.models.sessions import UserSession
from quintet.errors import Unauthorized
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.keys import TokenKeys, token_keys
from quintet.identity.sessions import end_sessions

GRACE = timedelta(seconds=10)
IDLE = timedelta(days=30)
"""A session ends when it is not refreshed for so long,"""
ABSOLUTE = timedelta(days=90)
"""and at the latest so long after the sign-in."""


class RefreshRefused(Unauthorized):
    """The refresh token is not good; what was done about it stays."""

    keeps_changes = True


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that we made, though it may be spent."""

    session_id: UUID
    counter: int


def refresh_token(keys: TokenKeys, session_id: UUID, counter: int) -> str:
    """The token of this session at this count."""
    return f"{session_id.hex}.{counter}.{_mac(keys.refresh, session_id, counter)}"


def parse(token: str | None) -> Presented:
    """What `token` says; 401 unless we made it."""
    try:
        session_hex, count, mac = (token or "").split(".")
        presented = Presented(UUID(session_hex), int(count[:10]))
    except ValueError:
        raise Unauthorized("There is no valid refresh token. Sign in again.") from None
    # After a rotation another instance may sign with a key that is newer than what this one has cached.
    if not (_is_ours(mac, presented, token_keys()) or _is_ours(mac, presented, token_keys(max_age=1))):
        raise Unauthorized("There is no valid refresh token. Sign in again.")
    return presented


def rotate(session: Session, presented: Presented) -> UserSession:
    """The session after rotation, its counter being the new token's; 401 when token or session is no longer good."""
    rotated: UserSession | None = session.scalar(
        update(UserSession)
        .where(*_alive(presented), UserSession.counter == presented.counter)
        .values(
            counter=UserSession.counter + 1,
            rotated_at=func.now(),
            last_used_at=func.now(),
            expires_at=func.least(UserSession.issued_at + ABSOLUTE, func.now() + IDLE),
        )
        .returning(UserSession)
    )
    return rotated or session_of(session, presented)


def session_of(session: Session, presented: Presented) -> UserSession:
    """The session of a token that is the newest, or was until ten seconds ago; 401 for any other, which ends it."""
    found = session.execute(
        select(UserSession, func.clock_timestamp() - UserSession.rotated_at <= GRACE)
        .where(*_alive(presented))
        .with_for_update(of=UserSession)
    ).one_or_none()
    if found is None:
        raise RefreshRefused("The session has ended. Sign in again.")
    current, within_grace = found
    if current.counter == presented.counter or (current.counter == presented.counter + 1 and within_grace):
        return current
    end_sessions(session, current.user_id, UserSession.id == current.id)
    record(
        session,
        EventType.SESSION_REFRESH_REUSED,
        subject=current.id,
        scope=scope_of("user", current.user_id),
        data={"user_id": str(current.user_id)},
        actor_id=current.user_id,
    )
    raise RefreshRefused("This refresh token was used before, so the session has been ended. Sign in again.")


def _alive(presented: Presented) -> tuple[ColumnElement[bool], ...]:
    return (
        UserSession.id == presented.session_id,
        UserSession.revoked_at.is_(None),
        UserSession.expires_at > func.now(),
        UserSession.user_id.in_(select(User.id).where(User.status == "active")),
    )


def _is_ours(mac: str, presented: Presented, known: tuple[TokenKeys, ...]) -> bool:
    macs = [_mac(keys.refresh, presented.session_id, presented.counter) for keys in known]
    return any(hmac.compare_digest(mac.encode(), mine.encode()) for mine in macs)


def _mac(key: bytes, session_id: UUID, counter: int) -> str:
    digest = hmac.digest(key, b"%b|%d" % (session_id.bytes, counter), "sha256")
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
