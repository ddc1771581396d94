"""What joins everything: files are found by their name, exports of a person's data, accounts that are deleted."""

from alembic import op

revision = "0014"
down_revision = "0013"

SEARCH = """
ALTER TABLE files ADD COLUMN search TSVECTOR GENERATED ALWAYS AS (words_of(file_name)) STORED;
CREATE INDEX ix_files_search ON files USING gin (search);
-- The cost of a plan counts what is then not even begun: compiling for it would take longer than all the rest.
ALTER ROLE quintet_app SET jit = off;
"""

EXPORTS = """
CREATE TABLE exports (
    id UUID DEFAULT uuidv7() NOT NULL,
    user_id UUID NOT NULL,
    status TEXT DEFAULT 'queued' NOT NULL,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    upload_id TEXT,
    version_id TEXT,
    size BIGINT,
    finished_at timestamptz,
    expires_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_exports PRIMARY KEY (id),
    CONSTRAINT ck_exports_status CHECK (status IN ('queued', 'running', 'ready', 'failed', 'expired')),
    CONSTRAINT fk_exports_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_exports_user_id_id ON exports (user_id, id);
CREATE UNIQUE INDEX uq_exports_open ON exports (user_id) WHERE status IN ('queued', 'running');
CREATE INDEX ix_exports_expires_at ON exports (expires_at) WHERE status = 'ready';
"""

DELETION = """
ALTER TABLE users ADD COLUMN deletion_requested_at timestamptz, ADD COLUMN erased_at timestamptz;
CREATE INDEX ix_users_leaving ON users (deletion_requested_at) WHERE deletion_requested_at IS NOT NULL;
ALTER TABLE one_time_tokens
    DROP CONSTRAINT ck_one_time_tokens_purpose,
    ADD CONSTRAINT ck_one_time_tokens_purpose
        CHECK (purpose IN (
            'password_reset', 'email_verification', 'realtime_ticket', 'account_restore', 'oauth_state'));
"""


def upgrade() -> None:
    """Make everything."""
    for statements in (SEARCH, EXPORTS, DELETION):
        op.execute(statements)
