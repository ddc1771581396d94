"""Conversations: members, messages with what belongs to them; the log's walk past what concerns conversations."""

from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = """
CREATE TABLE conversations (
    id UUID DEFAULT uuidv7() NOT NULL,
    title TEXT,
    is_group BOOLEAN NOT NULL,
    project_id UUID,
    direct_key TEXT,
    created_by UUID NOT NULL,
    last_message_id UUID,
    removed_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_conversations PRIMARY KEY (id),
    CONSTRAINT ck_conversations_title CHECK (is_group = (title IS NOT NULL)),
    CONSTRAINT ck_conversations_direct_key CHECK (is_group = (direct_key IS NULL)),
    CONSTRAINT uq_conversations_direct_key UNIQUE (direct_key),
    CONSTRAINT fk_conversations_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE SET NULL,
    CONSTRAINT fk_conversations_created_by FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE RESTRICT
);
CREATE INDEX ix_conversations_created_by ON conversations (created_by);
CREATE INDEX ix_conversations_project_id ON conversations (project_id);
CREATE INDEX ix_conversations_removed ON conversations (id) WHERE removed_at IS NOT NULL;

CREATE TABLE conversation_members (
    conversation_id UUID NOT NULL,
    user_id UUID NOT NULL,
    role TEXT DEFAULT 'member' NOT NULL,
    last_read_message_id UUID,
    joined_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_conversation_members PRIMARY KEY (conversation_id, user_id),
    CONSTRAINT ck_conversation_members_role CHECK (role IN ('owner', 'member')),
    CONSTRAINT fk_conversation_members_conversation_id FOREIGN KEY(conversation_id)
        REFERENCES conversations (id) ON DELETE CASCADE,
    CONSTRAINT fk_conversation_members_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE RESTRICT
);
CREATE INDEX ix_conversation_members_user_id_conversation_id ON conversation_members (user_id, conversation_id);

CREATE TABLE messages (
    id UUID DEFAULT uuidv7() NOT NULL,
    conversation_id UUID NOT NULL,
    sender_id UUID NOT NULL,
    content JSONB,
    text TEXT NOT NULL,
    reply_to_id UUID,
    edited_at timestamptz,
    deleted_at timestamptz,
    search TSVECTOR GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_messages PRIMARY KEY (id),
    CONSTRAINT ck_messages_content CHECK ((content IS NULL) = (deleted_at IS NOT NULL)),
    CONSTRAINT fk_messages_conversation_id FOREIGN KEY(conversation_id) REFERENCES conversations (id) ON DELETE CASCADE,
    CONSTRAINT fk_messages_sender_id FOREIGN KEY(sender_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT fk_messages_reply_to_id FOREIGN KEY(reply_to_id) REFERENCES messages (id) ON DELETE SET NULL
);
CREATE INDEX ix_messages_conversation_id_id ON messages (conversation_id, id) INCLUDE (sender_id, deleted_at);
CREATE INDEX ix_messages_reply_to_id ON messages (reply_to_id);
CREATE INDEX ix_messages_search ON messages USING gin (search);
CREATE INDEX ix_messages_sender_id ON messages (sender_id);

CREATE TABLE attachments (
    message_id UUID NOT NULL,
    file_id UUID NOT NULL,
    position INTEGER NOT NULL,
    CONSTRAINT pk_attachments PRIMARY KEY (message_id, file_id),
    CONSTRAINT fk_attachments_message_id FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE,
    CONSTRAINT fk_attachments_file_id FOREIGN KEY(file_id) REFERENCES files (id) ON DELETE CASCADE
);
CREATE INDEX ix_attachments_file_id ON attachments (file_id);

CREATE TABLE message_mentions (
    message_id UUID NOT NULL,
    user_id UUID NOT NULL,
    CONSTRAINT pk_message_mentions PRIMARY KEY (message_id, user_id),
    CONSTRAINT fk_message_mentions_message_id FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE,
    CONSTRAINT fk_message_mentions_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_message_mentions_user_id ON message_mentions (user_id);

CREATE TABLE message_reactions (
    message_id UUID NOT NULL,
    user_id UUID NOT NULL,
    emoji TEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_message_reactions PRIMARY KEY (message_id, user_id, emoji),
    CONSTRAINT fk_message_reactions_message_id FOREIGN KEY(message_id) REFERENCES messages (id) ON DELETE CASCADE,
    CONSTRAINT fk_message_reactions_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_message_reactions_user_id ON message_reactions (user_id);
"""

EVENTS = """
-- Who may read every event may not read those of other people's conversations, of which there are the most.
CREATE INDEX ix_events_public_id ON events (id) WHERE NOT starts_with(scope, 'conversation:');
CREATE INDEX ix_events_public_transaction_id_id ON events (transaction_id, id)
    WHERE NOT starts_with(scope, 'conversation:');
"""


def upgrade() -> None:
    """Make everything."""
    for statements in (TABLES, EVENTS):
        op.execute(statements)
