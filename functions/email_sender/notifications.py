"""Emails of notifications: one alone, or a day's. They can be unsubscribed from without signing in (RFC 8058)."""

import secrets
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy.orm import Session

from functions.email_sender.errors import NotSent
from functions.email_sender.rendering import Value
from quintet.config import settings
from quintet.db.reads import rows
from quintet.events.consumer import Claimed
from quintet.identity.scopes import parts
from quintet.notifications.kinds import DIGEST, KINDS
from quintet.notifications.lines import unread_lines

About = tuple[UUID | None, dict[str, Value]]
"""Whom an email is about, and what it says."""

SHOWN = 30
"""Notifications of a digest; of the others it says how many there are."""

_WANTED = """NOT EXISTS (
    SELECT FROM notification_preferences p WHERE p.user_id = n.user_id AND p.kind = n.kind AND p.email = 'off')"""

_TOKEN = """
    INSERT INTO unsubscribe_tokens (token, user_id, kind) VALUES (%(token)s, %(user_id)s, %(kind)s)
    ON CONFLICT (user_id, kind) DO UPDATE SET kind = excluded.kind RETURNING token"""


def notification(session: Session, event: Claimed) -> About:
    """The one that the event is about."""
    user_id = _user(event)
    found = unread_lines(session, user_id, f"n.id = %(id)s AND {_WANTED}", {"id": event.subject_id})
    if not found:
        raise NotSent("It has been read, is gone, or is not for them any more.")
    [line] = found
    return user_id, {
        "headline": line.headline,
        "detail": line.detail,
        "because": KINDS[line.kind].because,
        "unsubscribe_url": _unsubscribe_url(session, user_id, line.kind),
    }


def digest(session: Session, event: Claimed) -> About:
    """All those of a day."""
    user_id = _user(event)
    found = unread_lines(session, user_id, f"n.digest_on = %(date)s::date AND {_WANTED}", {"date": event.data["date"]})
    if not found:
        raise NotSent("They have been read, are gone, or are not for them any more.")
    items: Value = [{"headline": line.headline, "detail": line.detail} for line in found[:SHOWN]]
    count = "1 notification" if len(found) == 1 else f"{len(found)} notifications"
    more = str(len(found) - SHOWN) if len(found) > SHOWN else ""
    url = _unsubscribe_url(session, user_id, DIGEST)
    return user_id, {"items": items, "count": count, "more": more, "unsubscribe_url": url}


def _user(event: Claimed) -> UUID:
    user_id = parts(event.scope)["scope_id"]
    assert isinstance(user_id, UUID)
    return user_id


def _unsubscribe_url(session: Session, user_id: UUID, kind: str) -> str:
    """The same for every email of the kind, so that an old one's link works as long as the account is there."""
    params = {"token": secrets.token_urlsafe(32), "user_id": user_id, "kind": kind}
    [[token]] = rows(session, _TOKEN, params)
    return f"{settings().api_url}/notifications/unsubscribe?{urlencode({'token': token})}"
