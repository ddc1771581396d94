"""What there is of a person, table by table: what an export has of it, and what becomes of it in an erased account.

A test holds this against the schema: a new table that knows people needs a row. The person is `%(user)s` in all SQL.
No secret, hash or token is exported; what others wrote is theirs, and so is where they were when they did something.
"""

from dataclasses import dataclass

DELETED = "Deleted user"
"""The name of who is no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One table. Of each pair one is given: SQL, or the reason why there is none."""

    exported: str = ""
    """SELECT of rows in the order of `id`, or of whatever `key` names."""
    left_out: str = ""
    erased: str = ""
    """A statement."""
    stays: str = ""
    key: str = "id"
    """What rows are read on by, a UUID; empty when there are few enough to be read at once."""


def _deleted_from(table: str, column: str = "user_id") -> str:
    return f"DELETE FROM {table} WHERE {column} = %(user)s"


_SHARED = "Others work with it; whoever made it is a deleted user."
_THEIRS = "A part of what the person takes part in, which is exported."

_OF_INTEGRATIONS = "integration_id IN (SELECT id FROM integrations WHERE user_id = %(user)s)"

PERSONAL: dict[str, Kind] = {
    "sessions": Kind(
        exported="""SELECT id, issued_at, last_used_at, expires_at, revoked_at, host(ip) AS ip, user_agent
            FROM sessions WHERE user_id = %(user)s""",
        erased=_deleted_from("sessions"),
    ),
    "one_time_tokens": Kind(
        left_out="Hashes of tokens that were mailed.",
        erased=_deleted_from("one_time_tokens"),
    ),
    "oauth_identities": Kind(
        exported="""SELECT id, provider, subject, email, created_at, last_used_at, unlinked_at
            FROM oauth_identities WHERE user_id = %(user)s""",
        erased=_deleted_from("oauth_identities"),
    ),
    "former_addresses": Kind(
        exported="SELECT event_id AS id, email FROM former_addresses WHERE user_id = %(user)s",
        erased=_deleted_from("former_addresses"),
    ),
    "user_roles": Kind(
        exported="""SELECT r.id, r.name, r.description FROM user_roles h JOIN roles r ON r.id = h.role_id
            WHERE h.user_id = %(user)s""",
        erased=_deleted_from("user_roles"),
    ),
    "user_divisions": Kind(
        exported="""SELECT d.id, d.name FROM user_divisions m JOIN divisions d ON d.id = m.division_id
            WHERE m.user_id = %(user)s""",
        erased=_deleted_from("user_divisions"),
    ),
    "connections": Kind(left_out="Sockets that are open just now.", erased=_deleted_from("connections")),
    "idempotency_keys": Kind(
        left_out="Answers kept for a day, to what is exported itself.",
        erased=_deleted_from("idempotency_keys"),
    ),
    "projects": Kind(
        exported="""SELECT p.id, p.title, p.description, p.status, p.product_type, p.settings, m.role, p.owner_id,
                m.created_at AS member_since, p.created_at, p.updated_at, p.archived_at
            FROM project_members m JOIN projects p ON p.id = m.project_id WHERE m.user_id = %(user)s""",
        stays="Handed over to another member before; without one it is deleted.",
    ),
    "project_members": Kind(left_out=_THEIRS, erased=_deleted_from("project_members")),
    "tasks": Kind(
        exported="""SELECT id, project_id, title, description, status, priority, assignee_id, due_date, created_by,
                created_at, updated_at
            FROM tasks WHERE (created_by = %(user)s OR assignee_id = %(user)s)
                -- others go on writing them, which who has left the project may not read
                AND project_id IN (SELECT project_id FROM project_members WHERE user_id = %(user)s)""",
        stays=_SHARED,
    ),
    "task_reminders": Kind(
        exported="SELECT task_id, due_date FROM task_reminders WHERE user_id = %(user)s ORDER BY due_date, task_id",
        key="",
        erased=_deleted_from("task_reminders"),
    ),
    "conversations": Kind(
        exported="""SELECT c.id, c.title, c.is_group, c.project_id, m.role, m.joined_at, m.last_read_message_id,
                c.created_by, c.created_at
            FROM conversation_members m JOIN conversations c ON c.id = m.conversation_id WHERE m.user_id = %(user)s""",
        stays=_SHARED,
    ),
    "conversation_members": Kind(left_out=_THEIRS, stays="Groups are left before; direct ones keep both sides."),
    "messages": Kind(
        exported="""SELECT m.id, m.conversation_id, m.content, m.text, m.reply_to_id, m.created_at, m.edited_at,
                m.deleted_at,
                ARRAY(SELECT file_id FROM attachments a WHERE a.message_id = m.id ORDER BY position) AS files
            FROM messages m WHERE m.sender_id = %(user)s""",
        stays="What was said keeps its place, by a deleted user.",
    ),
    "message_mentions": Kind(
        left_out="It says that others wrote a name.",
        stays="An id; the name that went with it into the message's text is taken out.",
    ),
    "message_reactions": Kind(
        exported="""SELECT message_id, emoji, created_at FROM message_reactions WHERE user_id = %(user)s
            ORDER BY message_id, emoji""",
        key="",
        stays="Emojis of a deleted user.",
    ),
    "files": Kind(
        exported="""SELECT id, project_id, folder_id, file_name, content_type, detected_type, size, sha256, purpose,
                status, reason, uploaded_at, created_at, updated_at
            FROM files WHERE owner_id = %(user)s""",
        stays="Those that nobody else can read are deleted before.",
    ),
    "campaigns": Kind(
        exported="""SELECT id, name, description, status, start_date, end_date, default_country, archived_at,
                created_at, updated_at
            FROM campaigns WHERE created_by = %(user)s""",
        stays=_SHARED,
    ),
    "campaign_assignments": Kind(
        exported="""SELECT campaign_id, agent_id, assigned_at FROM campaign_assignments WHERE assigned_by = %(user)s
            ORDER BY campaign_id, agent_id""",
        key="",
        stays=_SHARED,
    ),
    "campaign_uploads": Kind(
        exported="""SELECT id, campaign_id, file_id, status, reason, dry_run, rows_total, rows_created, rows_updated,
                rows_duplicate, rows_invalid, uploaded_at, processed_at
            FROM campaign_uploads WHERE created_by = %(user)s""",
        stays=_SHARED,
    ),
    "agents": Kind(
        exported="SELECT id, name, email, available, created_at, updated_at FROM agents WHERE user_id = %(user)s",
        erased=f"""UPDATE agents SET user_id = NULL, name = '{DELETED}', email = id || '@deleted.invalid',
                available = false, version = version + 1, updated_at = now()
            WHERE user_id = %(user)s""",
    ),
    "contact_activities": Kind(
        exported="""SELECT id, campaign_id, contact_id, outcome, note, duration, at
            FROM contact_activities WHERE user_id = %(user)s""",
        stays=_SHARED,
    ),
    "courses": Kind(
        exported="""SELECT c.id, c.title, c.description, c.status, c.capacity, c.archived_at, c.created_at,
                c.updated_at, (
                    SELECT json_agg(json_build_object('title', l.title, 'content', l.content) ORDER BY l.position)
                    FROM lessons l WHERE l.course_id = c.id) AS lessons
            FROM courses c WHERE c.created_by = %(user)s""",
        stays=_SHARED,
    ),
    "enrollments": Kind(
        exported="""SELECT e.id, e.course_id, c.title AS course, e.status, e.enrolled_at, e.completed_at,
                ARRAY(SELECT p.lesson_id FROM lesson_progress p WHERE p.enrollment_id = e.id ORDER BY p.completed_at)
                AS lessons_completed
            FROM enrollments e JOIN courses c ON c.id = e.course_id WHERE e.user_id = %(user)s""",
        stays="Ended before, by which the seats become free.",
    ),
    "notifications": Kind(
        exported="""SELECT id, kind, event_id, actor_id, scope, data, in_app, email, created_at, read_at
            FROM notifications WHERE user_id = %(user)s""",
        erased=_deleted_from("notifications"),
    ),
    "notification_preferences": Kind(
        exported="""SELECT kind, in_app, email, push FROM notification_preferences WHERE user_id = %(user)s
            ORDER BY kind""",
        key="",
        erased=_deleted_from("notification_preferences"),
    ),
    "unsubscribe_tokens": Kind(left_out="Tokens.", erased=_deleted_from("unsubscribe_tokens")),
    "push_subscriptions": Kind(  # the rest of the address is a secret
        exported="""SELECT id, substring(endpoint FROM '^https?://[^/]+') AS push_service, created_at
            FROM push_subscriptions WHERE user_id = %(user)s""",
        erased=_deleted_from("push_subscriptions"),
    ),
    "webhooks": Kind(  # of many receivers the rest of the address is a secret
        exported="""SELECT id, substring(url FROM '^https?://[^/?#]+') AS receiver, description, types, status,
                paused_reason, created_at, updated_at
            FROM webhooks WHERE owner_id = %(user)s""",
        erased=_deleted_from("webhooks", "owner_id"),
    ),
    "integrations": Kind(
        exported="""SELECT id, service, status, scopes, connected_at, sync_status, last_synced_at, error, created_at,
                updated_at
            FROM integrations WHERE user_id = %(user)s""",
        erased="""UPDATE integrations SET scopes = '{}', checkpoint = NULL, error = NULL WHERE user_id = %(user)s
            -- disconnected before; the rest goes when the provider is told""",
    ),
    "integration_records": Kind(
        exported=f"""SELECT id, integration_id, kind, external_id, data, fetched_at
            FROM integration_records WHERE {_OF_INTEGRATIONS}""",
        erased=f"DELETE FROM integration_records WHERE {_OF_INTEGRATIONS}",
    ),
    "integration_requests": Kind(
        exported=f"""SELECT id, integration_id, operation, input, status, result, error, file_id, created_at,
                finished_at
            FROM integration_requests WHERE {_OF_INTEGRATIONS}""",
        erased=f"DELETE FROM integration_requests WHERE {_OF_INTEGRATIONS}",
    ),
    "ai_conversations": Kind(
        exported="SELECT id, chat_id, title, created_at, updated_at FROM ai_conversations WHERE user_id = %(user)s",
        erased=_deleted_from("ai_conversations"),
    ),
    "ai_messages": Kind(
        exported="""SELECT m.id, m.conversation_id, m.role, m.content, m.status, m.provider, m.created_at
            FROM ai_messages m JOIN ai_conversations c ON c.id = m.conversation_id WHERE c.user_id = %(user)s""",
        stays="Gone with their conversation.",
    ),
    "ai_usage": Kind(
        exported="SELECT day, input_tokens, output_tokens FROM ai_usage WHERE user_id = %(user)s ORDER BY day",
        key="",
        erased=_deleted_from("ai_usage"),
    ),
    "exports": Kind(
        exported="SELECT id, status, size, created_at, finished_at, expires_at FROM exports WHERE user_id = %(user)s",
        erased=_deleted_from("exports"),
    ),
    "events": Kind(
        exported="""SELECT id, at, type, subject_type, subject_id, data - 'key' - 'upload_id' AS data, scope,
                CASE WHEN actor_id = %(user)s THEN host(ip) END AS ip
            FROM events WHERE actor_id = %(user)s OR scope = 'user:' || %(user)s::text""",
        stays="Ids and facts; addresses of networks are taken out before.",
    ),
    "users": Kind(
        exported="""SELECT id, email, username, full_name, status, email_verified_at, time_zone,
                password_hash IS NOT NULL AS has_password, created_at, updated_at, deletion_requested_at
            FROM users WHERE id = %(user)s""",
        erased=f"""UPDATE users SET email = id || '@deleted.invalid', username = NULL, full_name = '{DELETED}',
                password_hash = NULL, email_verified_at = NULL, time_zone = 'UTC', status = 'disabled',
                deletion_requested_at = NULL, erased_at = now(), version = version + 1, updated_at = now()
            WHERE id = %(user)s""",
    ),
}
"""Table -> what it holds of a person. Erased in this order."""
