"""Real time: tickets, and who is connected."""

from alembic import op

revision = "0007"
down_revision = "0006"

TICKETS = """
ALTER TABLE one_time_tokens
    ADD COLUMN session_id UUID,
    ADD CONSTRAINT fk_one_time_tokens_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE,
    DROP CONSTRAINT ck_one_time_tokens_purpose,
    ADD CONSTRAINT ck_one_time_tokens_purpose
        CHECK (purpose IN ('password_reset', 'email_verification', 'realtime_ticket'));
CREATE INDEX ix_one_time_tokens_session_id ON one_time_tokens (session_id);
"""

CONNECTIONS = """
CREATE TABLE connections (
    id TEXT NOT NULL,
    user_id UUID NOT NULL,
    session_id UUID NOT NULL,
    status TEXT DEFAULT 'online' NOT NULL,
    connected_at timestamptz DEFAULT now() NOT NULL,
    last_seen_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_connections PRIMARY KEY (id),
    CONSTRAINT ck_connections_status CHECK (status IN ('online', 'away'))
);
CREATE INDEX ix_connections_user_id ON connections (user_id);
CREATE INDEX ix_connections_connected_at ON connections (connected_at);
"""


def upgrade() -> None:
    """Make everything."""
    for statements in (TICKETS, CONNECTIONS):
        op.execute(statements)
