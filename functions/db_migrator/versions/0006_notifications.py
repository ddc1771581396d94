"""Notifications, what people want to be told of and where, and who has been reminded of which task."""

from alembic import op

revision = "0006"
down_revision = "0005"

TABLES = """
CREATE TABLE notifications (
    id UUID DEFAULT uuidv7() NOT NULL,
    user_id UUID NOT NULL,
    event_id UUID NOT NULL,
    kind TEXT NOT NULL,
    actor_id UUID,
    scope TEXT NOT NULL,
    data JSONB NOT NULL,
    in_app BOOLEAN NOT NULL,
    email TEXT NOT NULL,
    digest_on DATE,
    created_at timestamptz DEFAULT now() NOT NULL,
    read_at timestamptz,
    CONSTRAINT pk_notifications PRIMARY KEY (id),
    CONSTRAINT uq_notifications_user_id_event_id UNIQUE (user_id, event_id),
    CONSTRAINT ck_notifications_email CHECK (email IN ('immediate', 'digest', 'off')),
    CONSTRAINT fk_notifications_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_notifications_user_id_id ON notifications (user_id, id) WHERE in_app;
CREATE INDEX ix_notifications_unread ON notifications (user_id, id) WHERE in_app AND read_at IS NULL;
CREATE INDEX ix_notifications_undigested ON notifications (user_id)
    WHERE email = 'digest' AND digest_on IS NULL AND read_at IS NULL;
CREATE INDEX ix_notifications_user_id_digest_on ON notifications (user_id, digest_on) WHERE digest_on IS NOT NULL;

CREATE TABLE notification_preferences (
    user_id UUID NOT NULL,
    kind TEXT NOT NULL,
    in_app BOOLEAN NOT NULL,
    email TEXT NOT NULL,
    push BOOLEAN NOT NULL,
    CONSTRAINT pk_notification_preferences PRIMARY KEY (user_id, kind),
    CONSTRAINT ck_notification_preferences_email CHECK (email IN ('immediate', 'digest', 'off')),
    CONSTRAINT fk_notification_preferences_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE unsubscribe_tokens (
    token TEXT NOT NULL,
    user_id UUID NOT NULL,
    kind TEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_unsubscribe_tokens PRIMARY KEY (token),
    CONSTRAINT uq_unsubscribe_tokens_user_id_kind UNIQUE (user_id, kind),
    CONSTRAINT fk_unsubscribe_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE push_subscriptions (
    id UUID DEFAULT uuidv7() NOT NULL,
    user_id UUID NOT NULL,
    session_id UUID NOT NULL,
    endpoint TEXT NOT NULL,
    p256dh TEXT NOT NULL,
    auth TEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_push_subscriptions PRIMARY KEY (id),
    CONSTRAINT uq_push_subscriptions_endpoint UNIQUE (endpoint),
    CONSTRAINT fk_push_subscriptions_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_push_subscriptions_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE
);
CREATE INDEX ix_push_subscriptions_user_id_id ON push_subscriptions (user_id, id);
CREATE INDEX ix_push_subscriptions_session_id ON push_subscriptions (session_id);

CREATE TABLE task_reminders (
    task_id UUID NOT NULL,
    user_id UUID NOT NULL,
    due_date DATE NOT NULL,
    CONSTRAINT pk_task_reminders PRIMARY KEY (task_id, user_id, due_date),
    CONSTRAINT fk_task_reminders_task_id FOREIGN KEY(task_id) REFERENCES tasks (id) ON DELETE CASCADE,
    CONSTRAINT fk_task_reminders_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_task_reminders_user_id ON task_reminders (user_id);
"""


def upgrade() -> None:
    """Make everything."""
    op.execute(TABLES)
