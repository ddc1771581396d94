"""From an event to its email: whom it goes to, whether it may, and with which link."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

from functions.email_sender.emails import EMAILS, Email, Link
from functions.email_sender.errors import NotSent
from functions.email_sender.mail import Message, send
from functions.email_sender.notifications import About, digest, notification
from functions.email_sender.rendering import render
from functions.manifest import FUNCTIONS, lease
from quintet.config import settings
from quintet.db.models.accounts import User
from quintet.db.models.addresses import FormerAddress, SuppressedAddress
from quintet.db.models.campaigns import Campaign, CampaignUpload
from quintet.db.models.exports import Export
from quintet.db.models.files import File
from quintet.db.models.webhooks import Webhook
from quintet.db.partitions import time_of
from quintet.db.session import writing
from quintet.events.consumer import Claimed, deliver
from quintet.events.types import EventType
from quintet.identity.one_time_tokens import mint
from quintet.oauth.providers import PROVIDERS
from quintet.observability import logger

_COUNTS = ("rows_total", "rows_created", "rows_updated", "rows_duplicate", "rows_invalid")


def process(message: SQSRecord) -> None:
    """Send the email that one queue message names, unless that is done."""
    deliver(message, send_email, lease_seconds=lease(FUNCTIONS["email_sender"]))


def send_email(event: Claimed) -> str | None:
    """Send the email that `event` asks for; returns why none was sent, and raises when it is to be tried again.

    A token it carries is committed before: a link that arrives works.
    """
    email = EMAILS[EventType(event.type)]
    try:
        with writing() as session:
            message = compose(session, event, email)
        message_id = send(message)
    except NotSent as reason:
        logger.info("No email is sent: %s", reason, event_id=str(event.id), email=email.template)
        return str(reason)
    if email.last:
        with writing() as session:
            session.execute(delete(FormerAddress).where(FormerAddress.event_id == event.id))
    logger.info("An email is sent.", event_id=str(event.id), email=email.template, message_id=message_id)
    return None


def compose(session: Session, event: Claimed, email: Email) -> Message:
    """The message, with a new token where it carries a link; raises NotSent when there is nobody to send it to."""
    if event.data.get("invited") is False:
        raise NotSent("An administrator has set the password.")
    user_id, facts = _FACTS.get(event.type, _account)(session, event)
    user, to = _recipient(session, event, user_id, email)
    if email.to_proven and not user.email_verified_at:
        raise NotSent("The address is not verified.")
    if email.link:
        if email.link.purpose == "email_verification" and user.email_verified_at:
            raise NotSent("The address is verified already.")
        facts |= _link(session, user, email.link)
    content = render(
        email.template,
        # Before an address is proven, its name may be a stranger's message to whoever reads it.
        name=user.full_name if user.email_verified_at or email.named_by_us else "",
        email=to,
        at=_on(time_of(event.id)),
        **facts,
    )
    return Message(to=to, content=content, unsubscribe_url=str(facts.get("unsubscribe_url", "")))


def _account(session: Session, event: Claimed) -> About:
    """An event of an account is about its subject, and says no more."""
    return event.subject_id, {}


def _linked_identity(session: Session, event: Claimed) -> About:
    return event.subject_id, {"provider": PROVIDERS[event.data["provider"]].title}


def _rejected_file(session: Session, event: Claimed) -> About:
    row = session.execute(
        select(File.owner_id, File.file_name, File.reason).where(File.id == event.subject_id)
    ).one_or_none()
    if row is None:
        raise NotSent("The file is gone.")
    return row.owner_id, {"file_name": row.file_name, "reason": row.reason or ""}


def _import(session: Session, event: Claimed) -> About:
    row = session.execute(
        select(CampaignUpload, Campaign.name, File.file_name, File.status)
        .join(Campaign, Campaign.id == CampaignUpload.campaign_id)
        .outerjoin(File, File.id == CampaignUpload.file_id)
        .where(CampaignUpload.id == event.subject_id)
    ).one_or_none()
    if row is None:
        raise NotSent("The import is gone.")
    upload, campaign, file_name, file_status = row
    if file_status == "rejected":
        raise NotSent("The email about the file says it.")
    counts = {name: f"{getattr(upload, name):,}" for name in _COUNTS}
    facts = {"campaign": campaign, "file_name": file_name or "", "reason": upload.reason or "", **counts}
    facts["failed_rows"] = f"GET {settings().api_url}/campaigns/{upload.campaign_id}/data/{upload.id}/failed-rows"
    return upload.created_by, {**facts, "dry_run": "yes" if upload.dry_run else ""}


def _paused_webhook(session: Session, event: Claimed) -> About:
    row = session.execute(
        select(Webhook.owner_id, Webhook.url, Webhook.description).where(Webhook.id == event.subject_id)
    ).one_or_none()
    if row is None:
        raise NotSent("The webhook is gone.")
    facts = {"address": row.url.partition("?")[0], "description": row.description}  # a query may hold a token
    return row.owner_id, {**facts, "reason": str(event.data["reason"])}


def _export(session: Session, event: Claimed) -> About:
    export = session.get(Export, event.subject_id)
    if export is None or export.expires_at is None:
        raise NotSent("The export is gone.")
    return export.user_id, {
        "archive": f"GET {settings().api_url}/users/me/export/content",
        "size": f"{max(1, (export.size or 0) // 1024):,} KB",
        "until": _on(export.expires_at),
    }


_FACTS: dict[str, Callable[[Session, Claimed], About]] = {
    EventType.ACCOUNT_IDENTITY_LINKED: _linked_identity,
    EventType.FILE_REJECTED: _rejected_file,
    EventType.CAMPAIGN_UPLOAD_FINISHED: _import,
    EventType.CAMPAIGN_UPLOAD_FAILED: _import,
    EventType.WEBHOOK_PAUSED: _paused_webhook,
    EventType.EXPORT_READY: _export,
    EventType.NOTIFICATION_CREATED: notification,
    EventType.NOTIFICATION_DIGEST_DUE: digest,
}
"""Event type -> whom it is about, and what the email says of it."""


def _recipient(session: Session, event: Claimed, user_id: UUID | None, email: Email) -> tuple[User, str]:
    """The account and its address, or the one it had until `event`, if that may be written to."""
    if user_id is None:
        raise NotSent("Nobody has this address.")
    to = FormerAddress.email if email.last else func.coalesce(FormerAddress.email, User.email)
    row = session.execute(
        select(User, to, exists().where(SuppressedAddress.email == to))
        .outerjoin(FormerAddress, FormerAddress.event_id == event.id)
        .where(User.id == user_id)
    ).one_or_none()
    if row is None:
        raise NotSent("The account is gone.")
    user, address, suppressed = row
    if address is None:
        raise NotSent("The address is forgotten.")
    if user.status != "active" and not email.to_disabled:
        raise NotSent("The account is disabled.")
    if suppressed:
        raise NotSent("The address bounced or complained before.")
    return user, address


def _link(session: Session, user: User, link: Link) -> dict[str, str]:
    token = mint(session, user_id=user.id, email=user.email, purpose=link.purpose, lifetime=link.lifetime)
    return {
        "url": f"{settings().api_url}{link.path}?{urlencode({'token': token})}",
        "valid_for": _in_words(link.lifetime),
    }


def _on(time: datetime) -> str:
    """`20 November 2026 at 14:03 UTC`."""
    at = time.astimezone(UTC)
    return f"{at.day} {at:%B %Y at %H:%M} UTC"


def _in_words(time: timedelta) -> str:
    """`3 days`, `30 minutes`."""
    return f"{time.days} days" if time.days else f"{time.seconds // 60} minutes"
