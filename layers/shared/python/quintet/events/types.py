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
    ACCOUNT_ROLES_CHANGED = "account.roles_changed"
    ACCOUNT_EMAIL_CHANGED = "account.email_changed"
    ACCOUNT_EMAIL_VERIFICATION_REQUESTED = "account.email_verification_requested"
    ACCOUNT_EMAIL_VERIFIED = "account.email_verified"
    ACCOUNT_PASSWORD_RESET_REQUESTED = "account.password_reset_requested"
    ACCOUNT_PASSWORD_REFUSED = "account.password_refused"
    ACCOUNT_PASSWORD_CHANGED = "account.password_changed"
    ACCOUNT_DELETION_REQUESTED = "account.deletion_requested"  # by its owner; it is disabled, and can be taken back
    ACCOUNT_RESTORED = "account.restored"  # taken back
    ACCOUNT_ERASED = "account.erased"  # what told who it was is gone
    EXPORT_REQUESTED = "export.requested"
    EXPORT_READY = "export.ready"
    EXPORT_REMOVED = "export.removed"  # its object is to go
    ACCOUNT_IDENTITY_LINKED = "account.identity_linked"  # data: provider
    ACCOUNT_IDENTITY_UNLINKED = "account.identity_unlinked"
    ACCOUNT_CLAIMED = "account.claimed"  # by who owns the address, which nobody had proven: password and sessions ended

    SESSION_STARTED = "session.started"
    SESSION_REFUSED = "session.refused"
    SESSION_ENDED = "session.ended"
    SESSION_REFRESH_REUSED = "session.refresh_reused"

    ROLE_CREATED = "role.created"
    ROLE_UPDATED = "role.updated"
    ROLE_REMOVED = "role.removed"
    DIVISION_CREATED = "division.created"
    DIVISION_UPDATED = "division.updated"
    DIVISION_REMOVED = "division.removed"
    DIVISION_MEMBER_ADDED = "division.member_added"
    DIVISION_MEMBER_REMOVED = "division.member_removed"

    PROJECT_CREATED = "project.created"
    PROJECT_UPDATED = "project.updated"
    PROJECT_ARCHIVED = "project.archived"
    PROJECT_PURGED = "project.purged"
    PROJECT_MEMBER_SET = "project.member_set"
    PROJECT_MEMBER_REMOVED = "project.member_removed"

    TASK_CREATED = "task.created"  # data: status, assignee_id, due_date
    TASK_UPDATED = "task.updated"  # fields; changes: [before, after] of those three; assignee_id: whose it is now
    TASK_ASSIGNED = "task.assigned"  # to assignee_id, by creating or changing it
    TASK_REMOVED = "task.removed"  # assignee_id: whose it was
    TASK_DUE = "task.due"  # tomorrow, where its assignee_id lives; due_date

    FOLDER_CREATED = "folder.created"
    FOLDER_UPDATED = "folder.updated"
    FOLDER_REMOVED = "folder.removed"
    FILE_UPLOAD_REQUESTED = "file.upload_requested"
    FILE_UPDATED = "file.updated"
    FILE_READY = "file.ready"
    FILE_REJECTED = "file.rejected"
    FILE_REMOVED = "file.removed"

    CAMPAIGN_UPLOAD_REQUESTED = "campaign_upload.requested"
    CAMPAIGN_UPLOAD_STARTED = "campaign_upload.started"
    CAMPAIGN_UPLOAD_PROGRESSED = "campaign_upload.progressed"
    CAMPAIGN_UPLOAD_FINISHED = "campaign_upload.finished"
    CAMPAIGN_UPLOAD_FAILED = "campaign_upload.failed"
    CAMPAIGN_UPLOAD_CANCELLED = "campaign_upload.cancelled"
    CAMPAIGN_UPLOAD_REVERTED = "campaign_upload.reverted"

    CAMPAIGN_CREATED = "campaign.created"
    CAMPAIGN_UPDATED = "campaign.updated"
    CAMPAIGN_ARCHIVED = "campaign.archived"
    CAMPAIGN_AGENTS_ASSIGNED = "campaign.agents_assigned"
    CAMPAIGN_AGENT_UNASSIGNED = "campaign.agent_unassigned"
    CAMPAIGN_DISTRIBUTION_REQUESTED = "campaign.distribution_requested"
    CAMPAIGN_DISTRIBUTED = "campaign.distributed"
    CONTACT_UPDATED = "contact.updated"
    CONTACT_ACTIVITY_RECORDED = "contact.activity_recorded"
    AGENT_CREATED = "agent.created"
    AGENT_UPDATED = "agent.updated"
    AGENT_REMOVED = "agent.removed"

    CONVERSATION_CREATED = "conversation.created"
    CONVERSATION_UPDATED = "conversation.updated"
    CONVERSATION_REMOVED = "conversation.removed"
    CONVERSATION_MEMBER_ADDED = "conversation.member_added"
    CONVERSATION_MEMBER_REMOVED = "conversation.member_removed"
    MESSAGE_CREATED = "message.created"
    MESSAGE_UPDATED = "message.updated"
    MESSAGE_REMOVED = "message.removed"
    MESSAGE_READ = "message.read"  # and all before it
    MESSAGE_REACTION_ADDED = "message.reaction_added"
    MESSAGE_REACTION_REMOVED = "message.reaction_removed"

    COURSE_CREATED = "course.created"
    COURSE_UPDATED = "course.updated"
    COURSE_PUBLISHED = "course.published"
    COURSE_ARCHIVED = "course.archived"
    COURSE_PURGED = "course.purged"
    LESSON_CREATED = "lesson.created"
    LESSON_UPDATED = "lesson.updated"
    LESSON_REMOVED = "lesson.removed"
    LESSON_COMPLETED = "lesson.completed"  # by one person, in whose own scope it is
    LESSON_REOPENED = "lesson.reopened"
    # In the course's `roster` and in the student's own scope; data: course_id, user_id.
    ENROLLMENT_CREATED = "enrollment.created"  # status: active or waitlisted
    ENROLLMENT_MOVED_UP = "enrollment.moved_up"  # from the waitlist to a seat; by nobody, for others caused it
    ENROLLMENT_COMPLETED = "enrollment.completed"
    ENROLLMENT_REMOVED = "enrollment.removed"

    WEBHOOK_CREATED = "webhook.created"
    WEBHOOK_UPDATED = "webhook.updated"
    WEBHOOK_REMOVED = "webhook.removed"
    WEBHOOK_SECRET_ROTATED = "webhook.secret_rotated"
    WEBHOOK_PAUSED = "webhook.paused"  # by us: data says why
    WEBHOOK_TEST = "webhook.test"  # sent to that webhook alone
    WEBHOOK_REDELIVERED = "webhook.redelivered"
    NOTIFICATION_CREATED = "notification.created"
    NOTIFICATION_READ = "notification.read"  # data: `up_to` when those before it are too
    NOTIFICATION_DIGEST_DUE = "notification_digest.due"  # subject: the account; data: date
    ACCOUNT_NOTIFICATIONS_CHANGED = "account.notifications_changed"  # where it wants to be told; data: kinds
    PUSH_SUBSCRIPTION_CREATED = "push_subscription.created"
    PUSH_SUBSCRIPTION_REMOVED = "push_subscription.removed"  # data: gone, when the push service says so

    INTEGRATION_CONNECTED = "integration.connected"  # data of these: service
    INTEGRATION_NEEDS_REAUTH = "integration.needs_reauth"  # the provider takes its token or key no more
    INTEGRATION_DISCONNECTED = "integration.disconnected"
    INTEGRATION_REVOKED = "integration.revoked"  # revoked: whether the provider was told, and confirmed it
    INTEGRATION_SYNC_REQUESTED = "integration.sync_requested"
    INTEGRATION_SYNC_STARTED = "integration.sync_started"
    INTEGRATION_SYNCED = "integration.synced"
    INTEGRATION_SYNC_FAILED = "integration.sync_failed"
    INTEGRATION_REQUEST_CREATED = "integration_request.created"  # data of these: integration_id, operation
    INTEGRATION_REQUEST_SUCCEEDED = "integration_request.succeeded"  # file_id, if it made one
    INTEGRATION_REQUEST_FAILED = "integration_request.failed"
    AI_CHAT_ASKED = "ai_chat.asked"  # data: provider; tools that were approved, declined
    AI_CHAT_REMOVED = "ai_chat.removed"

    SIGNING_KEY_ROTATED = "signing_key.rotated"
    SIGNING_KEY_REVOKED = "signing_key.revoked"  # all of them
    ADDRESS_SUPPRESSED = "address.suppressed"


_DELIVERED_TO: dict[EventType, tuple[str, ...]] = {
    EventType.ACCOUNT_REGISTERED: ("email",),
    EventType.ACCOUNT_CREATED: ("email",),
    EventType.ACCOUNT_EMAIL_CHANGED: ("email",),
    EventType.ACCOUNT_EMAIL_VERIFICATION_REQUESTED: ("email",),
    EventType.ACCOUNT_EMAIL_VERIFIED: ("email",),
    EventType.ACCOUNT_PASSWORD_RESET_REQUESTED: ("email",),
    EventType.ACCOUNT_PASSWORD_CHANGED: ("email",),
    EventType.ACCOUNT_DELETION_REQUESTED: ("email",),
    EventType.ACCOUNT_RESTORED: ("email",),
    EventType.ACCOUNT_ERASED: ("email",),
    EventType.EXPORT_REQUESTED: ("exports",),
    EventType.EXPORT_READY: ("email",),
    EventType.EXPORT_REMOVED: ("uploads",),
    EventType.ACCOUNT_IDENTITY_LINKED: ("email",),
    EventType.FILE_READY: ("uploads",),  # its text is to be read
    EventType.FILE_REJECTED: ("email",),
    EventType.FILE_REMOVED: ("uploads",),
    EventType.CAMPAIGN_DISTRIBUTION_REQUESTED: ("campaigns",),
    EventType.CAMPAIGN_UPLOAD_CANCELLED: ("campaigns",),
    EventType.CAMPAIGN_UPLOAD_FINISHED: ("email", "notifications"),
    EventType.CAMPAIGN_UPLOAD_FAILED: ("email", "notifications"),
    EventType.TASK_ASSIGNED: ("notifications",),
    EventType.TASK_DUE: ("notifications",),
    EventType.MESSAGE_CREATED: ("notifications",),
    EventType.MESSAGE_UPDATED: ("notifications",),
    EventType.CONVERSATION_CREATED: ("notifications",),
    EventType.CONVERSATION_MEMBER_ADDED: ("notifications",),
    EventType.PROJECT_MEMBER_SET: ("notifications",),
    EventType.ENROLLMENT_CREATED: ("notifications",),
    EventType.ENROLLMENT_MOVED_UP: ("notifications",),
    EventType.NOTIFICATION_DIGEST_DUE: ("email",),
    EventType.WEBHOOK_PAUSED: ("email",),
    EventType.INTEGRATION_DISCONNECTED: ("integrations",),
}

_LIVE = frozenset(
    {
        *("project", "task", "folder", "file", "campaign", "campaign_upload"),
        *("conversation", "message", "notification"),
        *("course", "lesson", "enrollment"),
        *("integration", "integration_request"),
    }
)
"""What people watch as it happens, by the first word of the events about it."""

_ENDS_SESSIONS = frozenset(
    {
        EventType.SESSION_ENDED,
        EventType.SESSION_REFRESH_REUSED,
        EventType.ACCOUNT_PASSWORD_CHANGED,
        EventType.ACCOUNT_CLAIMED,
        EventType.ACCOUNT_DISABLED,
        EventType.ACCOUNT_DELETION_REQUESTED,
        EventType.ACCOUNT_REMOVED,
        EventType.SIGNING_KEY_REVOKED,
    }
)
"""After which there are connections to close."""


def _destinations(type: EventType) -> tuple[str, ...]:
    live = type.partition(".")[0] in _LIVE or type in _ENDS_SESSIONS
    return (*_DELIVERED_TO.get(type, ()), *(("realtime",) if live else ()))


DELIVERED_TO: dict[EventType, tuple[str, ...]] = {type: queues for type in EventType if (queues := _destinations(type))}
"""Event type -> the queues it goes to. An event that is not here is only recorded, unless who records it
says otherwise (`Happening.to`): that of a notification goes where the person wants to be told."""

LIVE = frozenset(type for type, queues in DELIVERED_TO.items() if "realtime" in queues)
"""What those who are connected hear, as it happens or when they come back."""

NOT_FOR_WEBHOOKS = (
    "account",
    "address",
    "export",
    "notification",
    "notification_digest",
    "push_subscription",
    "role",
    "session",
    "signing_key",
    "webhook",
)
"""Subjects whose events leave the house by no webhook: what protects accounts, and other ways of being told."""

WEBHOOK_TYPES = frozenset(type for type in EventType if type.partition(".")[0] not in NOT_FOR_WEBHOOKS)
"""What one can subscribe to: these go to the queue `webhooks` too, while somebody does."""
