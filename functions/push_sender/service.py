"""From a notification to one of its reader's browsers, once."""

import json
from uuid import UUID

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from sqlalchemy import delete
from sqlalchemy.orm import Session

from functions.manifest import FUNCTIONS, lease
from functions.push_sender.sending import Browser, NotPushed, Unsubscribed, push
from quintet.db.models.notifications import PushSubscription
from quintet.db.reads import rows
from quintet.db.session import reading, writing
from quintet.events.consumer import Claimed, deliver
from quintet.events.record import record
from quintet.events.types import EventType
from quintet.identity.scopes import parts
from quintet.notifications.kinds import KINDS
from quintet.notifications.lines import Line, unread_lines
from quintet.observability import logger

_WANTED = """n.id = %(id)s AND NOT EXISTS (
    SELECT FROM notification_preferences p WHERE p.user_id = n.user_id AND p.kind = n.kind AND NOT p.push)"""

_BROWSER = """
    SELECT b.endpoint, b.p256dh, b.auth FROM push_subscriptions b JOIN sessions s ON s.id = b.session_id
    WHERE b.id = %(id)s AND b.user_id = %(user_id)s AND s.revoked_at IS NULL AND s.expires_at > now()"""


def process(message: SQSRecord) -> None:
    """Push what one queue message names, unless that is done."""
    deliver(message, push_notification, lease_seconds=lease(FUNCTIONS["push_sender"]))


def push_notification(event: Claimed) -> str | None:
    """Push the notification of `event` to the browser that its destination names; returns why it was not."""
    browser_id = UUID(event.destination.partition(":")[2])
    try:
        with reading() as session:
            line, browser = _compose(session, event, browser_id)
        payload = {
            "notification_id": str(line.id),
            "kind": line.kind,
            "title": line.headline,
            "body": line.detail,
            "data": line.data,
        }
        push(browser, json.dumps(payload, ensure_ascii=False), urgent=KINDS[line.kind].urgent)
    except Unsubscribed as reason:
        _forget(browser_id, event.scope)
        return str(reason)
    except NotPushed as reason:
        return str(reason)
    logger.info("A notification is pushed.", event_id=str(event.id), kind=line.kind)
    return None


def _compose(session: Session, event: Claimed, browser_id: UUID) -> tuple[Line, Browser]:
    user_id = parts(event.scope)["scope_id"]
    assert isinstance(user_id, UUID)
    browsers = rows(session, _BROWSER, {"id": browser_id, "user_id": user_id})
    if not browsers:
        raise NotPushed("The browser is not subscribed any more, or signed out.")
    lines = unread_lines(session, user_id, _WANTED, {"id": event.subject_id})
    if not lines:
        raise NotPushed("It has been read, is gone, or is not for them any more.")
    return lines[0], Browser(**browsers[0]._asdict())


def _forget(browser_id: UUID, scope: str) -> None:
    with writing() as session:
        gone = delete(PushSubscription).where(PushSubscription.id == browser_id).returning(PushSubscription.id)
        if session.scalar(gone):
            type = EventType.PUSH_SUBSCRIPTION_REMOVED
            record(session, type, subject=browser_id, scope=scope, data={"gone": True})
