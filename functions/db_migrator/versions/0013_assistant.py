"""The assistant's conversations, and what files say."""

from alembic import op

revision = "0013"
down_revision = "0009"

TABLES = """
CREATE TABLE ai_conversations (
    id UUID DEFAULT uuidv7() NOT NULL,
    user_id UUID NOT NULL,
    chat_id TEXT NOT NULL,
    title TEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_ai_conversations PRIMARY KEY (id),
    CONSTRAINT uq_ai_conversations_user_id_chat_id UNIQUE (user_id, chat_id),
    CONSTRAINT fk_ai_conversations_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE ai_messages (
    id UUID DEFAULT uuidv7() NOT NULL,
    conversation_id UUID NOT NULL,
    role TEXT NOT NULL,
    message_id TEXT NOT NULL,
    content JSONB DEFAULT '[]' NOT NULL,
    status TEXT DEFAULT 'done' NOT NULL,
    stop_requested BOOLEAN DEFAULT false NOT NULL,
    lease_until timestamptz,
    provider TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_ai_messages PRIMARY KEY (id),
    CONSTRAINT ck_ai_messages_role CHECK (role IN ('user', 'assistant')),
    CONSTRAINT ck_ai_messages_status CHECK (status IN ('running', 'done', 'stopped', 'failed', 'interrupted')),
    CONSTRAINT fk_ai_messages_conversation_id
        FOREIGN KEY(conversation_id) REFERENCES ai_conversations (id) ON DELETE CASCADE
);
CREATE INDEX ix_ai_messages_conversation_id_id ON ai_messages (conversation_id, id);
CREATE UNIQUE INDEX uq_ai_messages_running ON ai_messages (conversation_id) WHERE status = 'running';

CREATE TABLE ai_chunks (
    message_id UUID NOT NULL,
    position INTEGER NOT NULL,
    data TEXT NOT NULL,
    CONSTRAINT pk_ai_chunks PRIMARY KEY (message_id, position),
    CONSTRAINT fk_ai_chunks_message_id FOREIGN KEY(message_id) REFERENCES ai_messages (id) ON DELETE CASCADE
);

CREATE TABLE ai_usage (
    user_id UUID NOT NULL,
    day DATE NOT NULL,
    input_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    CONSTRAINT pk_ai_usage PRIMARY KEY (user_id, day),
    CONSTRAINT fk_ai_usage_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);

CREATE TABLE file_texts (
    file_id UUID NOT NULL,
    position INTEGER NOT NULL,
    text TEXT NOT NULL,
    search TSVECTOR GENERATED ALWAYS AS (words_of(text)) STORED,
    CONSTRAINT pk_file_texts PRIMARY KEY (file_id, position),
    CONSTRAINT fk_file_texts_file_id FOREIGN KEY(file_id) REFERENCES files (id) ON DELETE CASCADE
);
CREATE INDEX ix_file_texts_search ON file_texts USING gin (search);
"""


def upgrade() -> None:
    """Make everything."""
    op.execute(TABLES)
