"""Every kind of event, and the queues whose consumers act on it."""

from enum import StrEnum


class EventType(StrEnum):
    """`<subject>.<what happened>`; `data` holds ids and facts, never personal data or secrets."""

    ACCOUNT_REGISTERED = "account.registered"
    ACCOUNT_CREATED = "account.created"  # by an administrator
    ACCOUNT_UPDATED = "account.updated"
    ACCOUNT_ENABLED = "account.enabled"
    ACCOUNT_DISABLED = "account.disabled"
    ACCOUNT_REMOVED = "account.removed"
    ROLES_CHANGED = "account.roles_changed"
    EMAIL_VERIFICATION_REQUESTED = "account.email_verification_requested"
    EMAIL_VERIFIED = "account.email_verified"
    PASSWORD_RESET_REQUESTED = "account.password_reset_requested"
    PASSWORD_CHANGED = "account.password_changed"

    SIGNED_IN = "session.started"
    SIGN_IN_FAILED = "session.refused"
    SESSION_ENDED = "session.ended"
    REFRESH_REUSED = "session.refresh_reused"

    ROLE_CREATED = "role.created"
    ROLE_UPDATED = "role.updated"
    ROLE_REMOVED = "role.removed"
    DIVISION_CREATED = "division.created"
    DIVISION_UPDATED = "division.updated"
    DIVISION_REMOVED = "division.removed"
    DIVISION_JOINED = "division.member_added"
    DIVISION_LEFT = "division.member_removed"

    PROJECT_CREATED = "project.created"
    PROJECT_UPDATED = "project.updated"
    PROJECT_ARCHIVED = "project.archived"
    PROJECT_PURGED = "project.purged"
    MEMBER_SET = "project.member_set"
    MEMBER_REMOVED = "project.member_removed"

    FOLDER_CREATED = "folder.created"
    FOLDER_UPDATED = "folder.updated"
    FOLDER_REMOVED = "folder.removed"
    FILE_REQUESTED = "file.upload_requested"
    FILE_UPDATED = "file.updated"
    FILE_READY = "file.ready"
    FILE_REJECTED = "file.rejected"
    FILE_REMOVED = "file.removed"

    SIGNING_KEY_ROTATED = "signing_key.rotated"
    ADDRESS_SUPPRESSED = "address.suppressed"


DELIVERED_TO: dict[EventType, tuple[str, ...]] = {
    EventType.ACCOUNT_REGISTERED: ("email",),
    EventType.ACCOUNT_CREATED: ("email",),
    EventType.EMAIL_VERIFICATION_REQUESTED: ("email",),
    EventType.EMAIL_VERIFIED: ("email",),
    EventType.PASSWORD_RESET_REQUESTED: ("email",),
    EventType.PASSWORD_CHANGED: ("email",),
    EventType.FILE_REJECTED: ("email",),
    EventType.FILE_REMOVED: ("uploads",),
}
"""Event type -> the queues it goes to. An event that is not here is only recorded."""
