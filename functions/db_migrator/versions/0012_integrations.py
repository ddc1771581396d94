"""Integrations: connected services, what was fetched from them, what is asked of them, and circuit breakers."""

from alembic import op

revision = "0012"
down_revision = "0011"

TABLES = """
CREATE TABLE integrations (
    id UUID DEFAULT uuidv7() NOT NULL,
    user_id UUID NOT NULL,
    service TEXT NOT NULL,
    status TEXT NOT NULL,
    sealed BYTEA,
    data_key BYTEA,
    key_id TEXT,
    token_version INTEGER DEFAULT 0 NOT NULL,
    token_lease_until timestamptz,
    scopes TEXT[] DEFAULT '{}' NOT NULL,
    expires_at timestamptz,
    connected_at timestamptz,
    sync_status TEXT DEFAULT 'idle' NOT NULL,
    sync_run INTEGER DEFAULT 0 NOT NULL,
    sync_failures INTEGER DEFAULT 0 NOT NULL,
    sync_lease_until timestamptz,
    next_sync_at timestamptz,
    sync_sent_at timestamptz,
    wait_until timestamptz,
    last_synced_at timestamptz,
    checkpoint JSONB,
    error TEXT,
    stale_since timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_integrations PRIMARY KEY (id),
    CONSTRAINT ck_integrations_service CHECK (service IN ('github', 'google_docs', 'meshy', 'video')),
    CONSTRAINT ck_integrations_status CHECK (status IN ('pending', 'connected', 'needs_reauth', 'disconnected')),
    CONSTRAINT ck_integrations_sync_status CHECK (sync_status IN ('idle', 'running', 'success', 'error')),
    CONSTRAINT ck_integrations_sealed CHECK (num_nulls(sealed, data_key, key_id) IN (0, 3)),
    CONSTRAINT fk_integrations_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX uq_integrations_user_id_service ON integrations (user_id, service) WHERE status <> 'disconnected';
CREATE INDEX ix_integrations_user_id_id ON integrations (user_id, id);
CREATE INDEX ix_integrations_next_sync_at ON integrations (next_sync_at) WHERE status = 'connected';

CREATE TABLE integration_records (
    id UUID DEFAULT uuidv7() NOT NULL,
    integration_id UUID NOT NULL,
    kind TEXT NOT NULL,
    external_id TEXT NOT NULL,
    data JSONB NOT NULL,
    pass_number INTEGER DEFAULT 0 NOT NULL,
    fetched_at timestamptz DEFAULT now() NOT NULL,
    stale_since timestamptz,
    CONSTRAINT pk_integration_records PRIMARY KEY (id),
    CONSTRAINT uq_integration_records_integration_id_kind_external_id UNIQUE (integration_id, kind, external_id),
    CONSTRAINT fk_integration_records_integration_id FOREIGN KEY(integration_id)
        REFERENCES integrations (id) ON DELETE CASCADE
);
CREATE INDEX ix_integration_records_integration_id_id ON integration_records (integration_id, id);

CREATE TABLE integration_requests (
    id UUID DEFAULT uuidv7() NOT NULL,
    integration_id UUID NOT NULL,
    operation TEXT NOT NULL,
    input JSONB NOT NULL,
    status TEXT DEFAULT 'queued' NOT NULL,
    progress INTEGER,
    external_id TEXT,
    run INTEGER DEFAULT 0 NOT NULL,
    failures INTEGER DEFAULT 0 NOT NULL,
    lease_until timestamptz,
    next_attempt_at timestamptz DEFAULT now(),
    sent_at timestamptz DEFAULT now(),
    file_id UUID,
    stored_at timestamptz,
    result JSONB,
    stale_since timestamptz,
    error TEXT,
    finished_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_integration_requests PRIMARY KEY (id),
    CONSTRAINT ck_integration_requests_status CHECK (status IN ('queued', 'running', 'succeeded', 'failed')),
    CONSTRAINT ck_integration_requests_progress CHECK (progress BETWEEN 0 AND 100),
    CONSTRAINT fk_integration_requests_integration_id FOREIGN KEY(integration_id)
        REFERENCES integrations (id) ON DELETE CASCADE,
    CONSTRAINT fk_integration_requests_file_id FOREIGN KEY(file_id) REFERENCES files (id) ON DELETE SET NULL
);
CREATE INDEX ix_integration_requests_integration_id_id ON integration_requests (integration_id, id);
CREATE INDEX ix_integration_requests_next_attempt_at ON integration_requests (next_attempt_at)
    WHERE status IN ('queued', 'running');
CREATE INDEX ix_integration_requests_file_id ON integration_requests (file_id);

CREATE TABLE circuit_breakers (
    service TEXT NOT NULL,
    state TEXT DEFAULT 'closed' NOT NULL,
    failures INTEGER DEFAULT 0 NOT NULL,
    trips INTEGER DEFAULT 0 NOT NULL,
    failed_at timestamptz,
    open_until timestamptz,
    CONSTRAINT pk_circuit_breakers PRIMARY KEY (service),
    CONSTRAINT ck_circuit_breakers_state CHECK (state IN ('closed', 'open', 'half_open'))
);
"""


def upgrade() -> None:
    """Make everything."""
    op.execute(TABLES)
