"""THE list of emails: which event asks for which, and the link each carries. What they say is in `templates/`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from quintet.db.models.sessions import TokenPurpose
from quintet.events.types import EventType
from quintet.identity.one_time_tokens import LIFETIMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A page of the API that spends a token; `path` follows the API's address."""

    purpose: TokenPurpose
    path: str
    lifetime: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """One kind of email."""

    template: str
    """`templates/<template>.jinja` says it."""
    link: Link | None = None
    named_by_us: bool = False
    """The account's name was typed by an administrator, so it may be shown before the address is proven."""
    to_proven: bool = False
    """It says what people wrote, and goes to no address that may be a stranger's."""


_VERIFY = Link(
    purpose="email_verification",
    path="/auth/email-verification/page",
    lifetime=LIFETIMES["email_verification"],
)
_RESET = Link(purpose="password_reset", path="/auth/password-reset/page", lifetime=LIFETIMES["password_reset"])
_INVITE = Link(purpose=_RESET.purpose, path=_RESET.path, lifetime=timedelta(days=3))  # nobody is waiting for it

_VERIFICATION = Email(template="verification", link=_VERIFY)

EMAILS: Mapping[EventType, Email] = {
    EventType.ACCOUNT_REGISTERED: _VERIFICATION,
    EventType.ACCOUNT_EMAIL_VERIFICATION_REQUESTED: _VERIFICATION,
    EventType.ACCOUNT_EMAIL_CHANGED: Email(template="email_changed"),
    EventType.ACCOUNT_CREATED: Email(template="invitation", link=_INVITE, named_by_us=True),
    EventType.ACCOUNT_EMAIL_VERIFIED: Email(template="welcome"),
    EventType.ACCOUNT_PASSWORD_RESET_REQUESTED: Email(template="password_reset", link=_RESET),
    EventType.ACCOUNT_PASSWORD_CHANGED: Email(template="password_changed"),
    EventType.FILE_REJECTED: Email(template="file_rejected", to_proven=True),
    EventType.CAMPAIGN_UPLOAD_FINISHED: Email(template="import_finished", to_proven=True),
    EventType.CAMPAIGN_UPLOAD_FAILED: Email(template="import_failed", to_proven=True),
    EventType.WEBHOOK_PAUSED: Email(template="webhook_paused", to_proven=True),
    EventType.NOTIFICATION_CREATED: Email(template="notification", to_proven=True),
    EventType.NOTIFICATION_DIGEST_DUE: Email(template="digest", to_proven=True),
}
"""Event type -> the email it asks for."""
