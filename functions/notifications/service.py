"""The rules of notifications: everybody has their own."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from functions.notifications import queries
from quintet.db.models.accounts import User
from quintet.db.models.notifications import Notification, UnsubscribeToken
from quintet.errors import BadRequest, NotFound
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.principal import Principal
from quintet.notifications.kinds import DIGEST


def mark_read(session: Session, caller: Principal, *, notification_id: UUID) -> None:
    """Mark one as read. Repeatable."""
    mine = (Notification.id == notification_id, Notification.user_id == caller.user_id, Notification.in_app)
    marked = session.scalar(
        update(Notification)
        .where(*mine, Notification.read_at.is_(None))
        .values(read_at=func.now())
        .returning(Notification.id)
    )
    if marked:
        _record_read(session, caller, notification_id)
    elif not session.scalar(select(Notification.id).where(*mine)):
        raise NotFound


def mark_all_read(session: Session, caller: Principal, *, up_to: UUID | None) -> bool:
    """Mark many as read, the oldest first, or those up to this id; whether that is all of them. Repeatable."""
    newest, done = queries.mark_all_read(session, caller, up_to=up_to)
    if newest:
        _record_read(session, caller, newest, up_to=str(newest))
    return done


def update_preferences(session: Session, caller: Principal, *, change: BaseModel) -> dict[str, dict[str, Any]]:
    """Change where the caller is told of what; what is so then."""
    _one_at_a_time(session, caller.user_id)
    present = queries.preferences(session, caller.user_id)
    wanted = {kind: present[kind] | changes for kind, changes in change.model_dump(exclude_unset=True).items()}
    _save(session, caller.user_id, present, wanted)
    return present | wanted


def unsubscribe(session: Session, *, token: str) -> None:
    """No more emails of the kind that the token was mailed with; 400 for an unknown one. Repeatable."""
    found = session.scalar(select(UnsubscribeToken).where(UnsubscribeToken.token == token))
    if found is None:
        raise BadRequest.at("query/token", "The link is not one of ours, or its account is gone.")
    _one_at_a_time(session, found.user_id)
    present = queries.preferences(session, found.user_id)
    wanted = {
        kind: channels | {"email": "off"}
        for kind, channels in present.items()
        if (channels["email"] == "digest" if found.kind == DIGEST else kind == found.kind)
    }
    _save(session, found.user_id, present, wanted, actor_id=found.user_id)


def _one_at_a_time(session: Session, user_id: UUID) -> None:
    """Two changes of one account's preferences do not undo each other."""
    session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))


def _save(
    session: Session,
    user_id: UUID,
    present: dict[str, dict[str, Any]],
    wanted: dict[str, dict[str, Any]],
    *,
    actor_id: UUID | None = None,
) -> None:
    changed = {kind: channels for kind, channels in wanted.items() if channels != present[kind]}
    if changed:
        queries.save_preferences(session, user_id, changed)
        record(
            session,
            EventType.ACCOUNT_NOTIFICATIONS_CHANGED,
            subject=user_id,
            scope=scope_of("user", user_id),
            data={"kinds": sorted(changed)},
            actor_id=actor_id,
        )


def _record_read(session: Session, caller: Principal, notification_id: UUID, **data: str) -> None:
    scope = scope_of("user", caller.user_id)
    record(session, EventType.NOTIFICATION_READ, subject=notification_id, scope=scope, data=data)
