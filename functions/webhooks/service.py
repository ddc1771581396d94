"""The rules of webhooks. To others than its owner a webhook does not exist."""

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from functions.webhooks.schemas import WebhookCreate, WebhookUpdate
from quintet.db.models.accounts import User
from quintet.db.models.webhooks import Webhook, WebhookDelivery
from quintet.errors import Conflict, NotFound, Unauthorized
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.events.webhooks import send_after_commit
from quintet.identity.principal import Principal
from quintet.identity.sessions import is_alive

MAX_WEBHOOKS = 20
"""Of one account."""

OVERLAP = timedelta(hours=24)
"""How long the former secret signs too."""


def create_webhook(session: Session, caller: Principal, *, new: WebhookCreate) -> Webhook:
    """A webhook of the caller's own, with a new secret."""
    # One after the other, or two at once would both be the last that fits.
    session.execute(select(User.id).where(User.id == caller.user_id).with_for_update(key_share=True))
    if not is_alive(session, caller.session_id):  # or somebody whose account it is not any more would listen on
        raise Unauthorized("The session has ended. Sign in again.")
    if session.scalars(select(func.count()).where(Webhook.owner_id == caller.user_id)).one() >= MAX_WEBHOOKS:
        raise Conflict(f"An account has {MAX_WEBHOOKS} webhooks at most. Delete one that is not needed.")
    webhook = Webhook(**new.model_dump(), owner_id=caller.user_id, secret=secrets.token_bytes(32))
    session.add(webhook)
    session.flush()
    _record(session, EventType.WEBHOOK_CREATED, webhook, types=webhook.types)
    return webhook


def update_webhook(
    session: Session, caller: Principal, *, webhook_id: UUID, change: WebhookUpdate, expected: frozenset[int] | None
) -> Webhook:
    """Change the fields sent. Pausing one that is paused leaves the reason as it is."""
    webhook = _locked(session, caller, webhook_id)
    webhook.require_version(expected)
    changes = change.changes()
    if changes.get("status", webhook.status) != webhook.status:
        changes["paused_reason"] = "owner" if changes["status"] == "paused" else None
    if fields := webhook.apply(changes):
        _record(session, EventType.WEBHOOK_UPDATED, webhook, fields=fields)
    return webhook


def remove_webhook(session: Session, caller: Principal, *, webhook_id: UUID, expected: frozenset[int] | None) -> None:
    """Delete it, and what is noted of its deliveries."""
    webhook = _locked(session, caller, webhook_id)
    webhook.require_version(expected)
    session.delete(webhook)
    _record(session, EventType.WEBHOOK_REMOVED, webhook)


def rotate_secret(session: Session, caller: Principal, *, webhook_id: UUID, expected: frozenset[int] | None) -> Webhook:
    """Give it a new secret. The one before signs too for a day; one before that, no longer."""
    webhook = _locked(session, caller, webhook_id)
    webhook.require_version(expected)
    webhook.former_secret, webhook.secret = webhook.secret, secrets.token_bytes(32)
    webhook.former_secret_until = datetime.now(UTC) + OVERLAP
    webhook.touch()
    _record(session, EventType.WEBHOOK_SECRET_ROTATED, webhook)
    return webhook


def send_test(session: Session, caller: Principal, *, webhook_id: UUID) -> WebhookDelivery:
    """Send it an event of the type `webhook.test`, whatever it has subscribed to."""
    webhook = _active(session, caller, webhook_id)
    event_id = _record(session, EventType.WEBHOOK_TEST, webhook)
    delivery = WebhookDelivery(webhook_id=webhook.id, event_id=event_id, type=EventType.WEBHOOK_TEST.value)
    session.add(delivery)
    session.flush()
    send_after_commit(session, [delivery.id])
    return delivery


def redeliver(session: Session, caller: Principal, *, webhook_id: UUID, delivery_id: UUID) -> WebhookDelivery:
    """Send an event again that has arrived or was given up, with all attempts anew."""
    webhook = _active(session, caller, webhook_id)
    this = (WebhookDelivery.id == delivery_id, WebhookDelivery.webhook_id == webhook_id)
    delivery: WebhookDelivery | None = session.scalar(
        update(WebhookDelivery)
        .where(*this, WebhookDelivery.status != "pending")
        .values(
            status="pending",
            attempts=0,
            first_tried_at=None,
            next_attempt_at=func.now() + timedelta(minutes=1),
            lease_until=func.now(),
            done_at=None,
        )
        .returning(WebhookDelivery)
    )
    if delivery is None:
        if not session.scalar(select(exists().where(*this))):
            raise NotFound
        raise Conflict("It is being sent already.")
    _record(session, EventType.WEBHOOK_REDELIVERED, webhook, delivery_id=str(delivery_id))
    send_after_commit(session, [delivery_id])
    return delivery


def shown(secret: bytes) -> str:
    """A secret as Standard Webhooks writes it."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def _active(session: Session, caller: Principal, webhook_id: UUID) -> Webhook:
    webhook = _locked(session, caller, webhook_id)
    if webhook.status != "active":
        raise Conflict("The webhook is paused, and nothing is sent. Resume it first, by `status: active`.")
    return webhook


def _locked(session: Session, caller: Principal, webhook_id: UUID) -> Webhook:
    webhook = session.scalar(
        select(Webhook)
        .where(Webhook.id == webhook_id, Webhook.owner_id == caller.user_id)
        .with_for_update(key_share=True)
    )
    if webhook is None:
        raise NotFound
    return webhook


def _record(session: Session, type: EventType, webhook: Webhook, **data: Any) -> UUID:
    return record(session, type, subject=webhook.id, scope=scope_of("user", webhook.owner_id), data=data)
