"""The rules of push subscriptions: a browser is pushed to for who subscribed there last, while they are signed in."""

from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from functions.notifications.push.schemas import PushSubscriptionCreate, PushSubscriptionRead
from quintet.db.json import columns_of, page
from quintet.db.models.notifications import PushSubscription
from quintet.db.reads import rows
from quintet.errors import NotFound
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

MAX_BROWSERS = 20
"""Of one account; who subscribes one more loses the oldest."""

_SUBSCRIBE = """
    INSERT INTO push_subscriptions AS b (user_id, session_id, endpoint, p256dh, auth)
    VALUES (%(caller)s, %(session_id)s, %(endpoint)s, %(p256dh)s, %(auth)s)
    ON CONFLICT (endpoint) DO UPDATE SET user_id = excluded.user_id, session_id = excluded.session_id,
        p256dh = excluded.p256dh, auth = excluded.auth
    RETURNING b.id, b.endpoint, b.created_at"""

# Not the one just made: a browser that subscribes again keeps its id, and may be the oldest.
_TOO_MANY = """
    DELETE FROM push_subscriptions WHERE id = ANY (ARRAY(
        SELECT id FROM push_subscriptions WHERE user_id = %(caller)s AND id <> %(made)s
        ORDER BY id DESC OFFSET %(others)s))
    RETURNING id"""

_PAGE = f"""
    SELECT {columns_of(PushSubscriptionRead, "b")} FROM push_subscriptions b
    WHERE b.user_id = %(caller)s AND b.id < %(before)s"""


def list_subscriptions(session: Session, caller: Principal, paging: PageRequest) -> bytes:
    """A page of the caller's browsers, newest first."""
    return page(session, _PAGE, {"caller": caller.user_id}, paging)


def subscribe(session: Session, caller: Principal, *, new: PushSubscriptionCreate) -> PushSubscriptionRead:
    """Push to this browser what the caller is told of. Repeatable; it may have been somebody else's before."""
    params = {
        "caller": caller.user_id,
        "session_id": caller.session_id,
        "endpoint": new.endpoint,
        "p256dh": new.keys.p256dh,
        "auth": new.keys.auth,
    }
    [made] = rows(session, _SUBSCRIBE, params)
    _record(session, caller, EventType.PUSH_SUBSCRIPTION_CREATED, made.id)
    for old in rows(session, _TOO_MANY, {"caller": caller.user_id, "made": made.id, "others": MAX_BROWSERS - 1}):
        _record(session, caller, EventType.PUSH_SUBSCRIPTION_REMOVED, old.id)
    return PushSubscriptionRead.model_validate(made)


def unsubscribe(session: Session, caller: Principal, *, subscription_id: UUID) -> None:
    """Push no more to this browser."""
    mine = (PushSubscription.id == subscription_id, PushSubscription.user_id == caller.user_id)
    if session.scalar(delete(PushSubscription).where(*mine).returning(PushSubscription.id)) is None:
        raise NotFound
    _record(session, caller, EventType.PUSH_SUBSCRIPTION_REMOVED, subscription_id)


def _record(session: Session, caller: Principal, type: EventType, subscription_id: UUID) -> None:
    record(session, type, subject=subscription_id, scope=scope_of("user", caller.user_id))
