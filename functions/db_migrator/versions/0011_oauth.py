"""Sign-in by a provider, and what somebody takes along there."""

from alembic import op

revision = "0011"
down_revision = "0009"

STATES = """
ALTER TABLE one_time_tokens
    ADD COLUMN data JSONB,
    ALTER COLUMN user_id DROP NOT NULL,
    ALTER COLUMN email DROP NOT NULL,
    DROP CONSTRAINT ck_one_time_tokens_purpose,
    ADD CONSTRAINT ck_one_time_tokens_purpose
        CHECK (purpose IN ('password_reset', 'email_verification', 'realtime_ticket', 'oauth_state')),
    ADD CONSTRAINT ck_one_time_tokens_owner
        CHECK (purpose = 'oauth_state' OR user_id IS NOT NULL AND email IS NOT NULL);
"""

IDENTITIES = """
CREATE TABLE oauth_identities (
    id UUID DEFAULT uuidv7() NOT NULL,
    user_id UUID NOT NULL,
    provider TEXT NOT NULL,
    subject TEXT NOT NULL,
    email CITEXT,
    created_at timestamptz DEFAULT now() NOT NULL,
    last_used_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_oauth_identities PRIMARY KEY (id),
    CONSTRAINT uq_oauth_identities_provider_subject UNIQUE (provider, subject),
    CONSTRAINT fk_oauth_identities_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_oauth_identities_user_id ON oauth_identities (user_id);
"""


def upgrade() -> None:
    """Make everything."""
    for statements in (STATES, IDENTITIES):
        op.execute(statements)
