"""The foundation: identity, projects, files, the event log and the API's own machinery."""

from alembic import op

revision = "0001"
down_revision = None

EXTENSIONS_AND_ROLE = """
CREATE EXTENSION IF NOT EXISTS citext;

DO $$ BEGIN
    CREATE ROLE quintet_app LOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
ALTER ROLE quintet_app SET timezone = 'UTC';
ALTER ROLE quintet_app SET lock_timeout = '5s';
ALTER ROLE quintet_app SET statement_timeout = '25s';
ALTER ROLE quintet_app SET idle_in_transaction_session_timeout = '30s';

-- On RDS the role signs in with IAM tokens.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'rds_iam') THEN
        GRANT rds_iam TO quintet_app;
    END IF;
END $$;

ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO quintet_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO quintet_app;
"""

TABLES = """
CREATE TABLE users (
    id UUID DEFAULT uuidv7() NOT NULL,
    email CITEXT NOT NULL,
    username CITEXT,
    full_name TEXT NOT NULL,
    password_hash TEXT,
    status TEXT DEFAULT 'active' NOT NULL,
    email_verified_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT ck_users_status CHECK (status IN ('active', 'disabled')),
    CONSTRAINT uq_users_email UNIQUE (email),
    CONSTRAINT uq_users_username UNIQUE (username)
);
CREATE INDEX ix_users_email_prefix ON users (lower(email::text) text_pattern_ops);
CREATE INDEX ix_users_full_name_prefix ON users (lower(full_name) text_pattern_ops);

CREATE TABLE roles (
    id UUID DEFAULT uuidv7() NOT NULL,
    name TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    permissions TEXT[] DEFAULT '{}' NOT NULL,
    self_assignable BOOLEAN DEFAULT false NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_roles PRIMARY KEY (id),
    CONSTRAINT uq_roles_name UNIQUE (name)
);

CREATE TABLE user_roles (
    user_id UUID NOT NULL,
    role_id UUID NOT NULL,
    CONSTRAINT pk_user_roles PRIMARY KEY (user_id, role_id),
    CONSTRAINT fk_user_roles_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_user_roles_role_id FOREIGN KEY(role_id) REFERENCES roles (id) ON DELETE RESTRICT
);
CREATE INDEX ix_user_roles_role_id_user_id ON user_roles (role_id, user_id);

CREATE TABLE sessions (
    id UUID DEFAULT uuidv7() NOT NULL,
    user_id UUID NOT NULL,
    counter INTEGER DEFAULT 0 NOT NULL,
    rotated_at timestamptz DEFAULT now() NOT NULL,
    issued_at timestamptz DEFAULT now() NOT NULL,
    last_used_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    ip INET,
    user_agent TEXT,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT fk_sessions_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_sessions_expires_at ON sessions (expires_at);
CREATE INDEX ix_sessions_user_id ON sessions (user_id);

CREATE TABLE one_time_tokens (
    hash BYTEA NOT NULL,
    purpose TEXT NOT NULL,
    user_id UUID NOT NULL,
    email CITEXT NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_one_time_tokens PRIMARY KEY (hash),
    CONSTRAINT ck_one_time_tokens_purpose CHECK (purpose IN ('password_reset', 'email_verification')),
    CONSTRAINT fk_one_time_tokens_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_one_time_tokens_expires_at ON one_time_tokens (expires_at);
CREATE INDEX ix_one_time_tokens_user_id ON one_time_tokens (user_id);

CREATE TABLE former_addresses (
    event_id UUID NOT NULL,
    user_id UUID NOT NULL,
    email CITEXT NOT NULL,
    CONSTRAINT pk_former_addresses PRIMARY KEY (event_id),
    CONSTRAINT fk_former_addresses_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_former_addresses_user_id ON former_addresses (user_id);

CREATE TABLE divisions (
    id UUID DEFAULT uuidv7() NOT NULL,
    name CITEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_divisions PRIMARY KEY (id),
    CONSTRAINT uq_divisions_name UNIQUE (name)
);

CREATE TABLE user_divisions (
    user_id UUID NOT NULL,
    division_id UUID NOT NULL,
    CONSTRAINT pk_user_divisions PRIMARY KEY (user_id, division_id),
    CONSTRAINT fk_user_divisions_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT fk_user_divisions_division_id FOREIGN KEY(division_id) REFERENCES divisions (id) ON DELETE CASCADE
);
CREATE INDEX ix_user_divisions_division_id_user_id ON user_divisions (division_id, user_id);

CREATE TABLE signing_keys (
    kid TEXT NOT NULL,
    jwk JSONB NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_signing_keys PRIMARY KEY (kid)
);

CREATE TABLE suppressed_addresses (
    email CITEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_suppressed_addresses PRIMARY KEY (email),
    CONSTRAINT ck_suppressed_addresses_reason CHECK (reason IN ('bounce', 'complaint'))
);

CREATE TABLE projects (
    id UUID DEFAULT uuidv7() NOT NULL,
    title TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    owner_id UUID NOT NULL,
    status TEXT DEFAULT 'draft' NOT NULL,
    product_type TEXT,
    settings JSONB DEFAULT '{}' NOT NULL,
    archived_at timestamptz,
    search TSVECTOR GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', description), 'B')
    ) STORED,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_projects PRIMARY KEY (id),
    CONSTRAINT ck_projects_status CHECK (status IN ('draft', 'active', 'completed', 'archived')),
    CONSTRAINT ck_projects_product_type CHECK (product_type IN ('physical_product', 'software', 'service')),
    CONSTRAINT fk_projects_owner_id FOREIGN KEY(owner_id) REFERENCES users (id) ON DELETE RESTRICT
);
CREATE INDEX ix_projects_owner_id ON projects (owner_id);
CREATE INDEX ix_projects_search ON projects USING gin (search);

CREATE TABLE project_members (
    project_id UUID NOT NULL,
    user_id UUID NOT NULL,
    role TEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_project_members PRIMARY KEY (project_id, user_id),
    CONSTRAINT ck_project_members_role CHECK (role IN ('owner', 'editor', 'viewer')),
    CONSTRAINT fk_project_members_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_project_members_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_project_members_user_id_project_id ON project_members (user_id, project_id);

CREATE TABLE folders (
    id UUID DEFAULT uuidv7() NOT NULL,
    project_id UUID NOT NULL,
    parent_id UUID,
    name TEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_folders PRIMARY KEY (id),
    CONSTRAINT fk_folders_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_folders_parent_id FOREIGN KEY(parent_id) REFERENCES folders (id) ON DELETE CASCADE
);
CREATE INDEX ix_folders_parent_id ON folders (parent_id);
CREATE UNIQUE INDEX uq_folders_project_id_parent_id_name ON folders (project_id, parent_id, name) NULLS NOT DISTINCT;

CREATE TABLE files (
    id UUID DEFAULT uuidv7() NOT NULL,
    owner_id UUID NOT NULL,
    project_id UUID,
    folder_id UUID,
    file_name TEXT NOT NULL,
    bucket TEXT NOT NULL,
    key TEXT NOT NULL,
    content_type TEXT NOT NULL,
    detected_type TEXT,
    size BIGINT NOT NULL,
    sha256 TEXT,
    crc64nvme TEXT,
    purpose TEXT DEFAULT 'asset' NOT NULL,
    status TEXT DEFAULT 'pending' NOT NULL,
    upload_id TEXT,
    version_id TEXT,
    sequencer TEXT,
    reason TEXT,
    uploaded_at timestamptz,
    checked_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_files PRIMARY KEY (id),
    CONSTRAINT ck_files_status CHECK (status IN ('pending', 'uploaded', 'ready', 'rejected')),
    CONSTRAINT ck_files_purpose CHECK (purpose IN ('asset', 'attachment', 'campaign_data')),
    CONSTRAINT ck_files_size CHECK (size >= 0),
    CONSTRAINT fk_files_owner_id FOREIGN KEY(owner_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT fk_files_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE RESTRICT,
    CONSTRAINT fk_files_folder_id FOREIGN KEY(folder_id) REFERENCES folders (id) ON DELETE SET NULL,
    CONSTRAINT uq_files_key UNIQUE (key)
);
CREATE INDEX ix_files_folder_id ON files (folder_id);
CREATE INDEX ix_files_owner_id_id ON files (owner_id, id);
CREATE INDEX ix_files_owner_id_pending ON files (owner_id) INCLUDE (size) WHERE status = 'pending';
CREATE INDEX ix_files_pending ON files (created_at) WHERE status IN ('pending', 'uploaded');
CREATE INDEX ix_files_personal ON files (owner_id, id) WHERE project_id IS NULL;
CREATE INDEX ix_files_project_id_id ON files (project_id, id);

CREATE TABLE events (
    id UUID DEFAULT uuidv7() NOT NULL,
    transaction_id xid8 DEFAULT pg_current_xact_id() NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    actor_id UUID,
    type TEXT NOT NULL,
    subject_type TEXT NOT NULL,
    subject_id UUID,
    data JSONB NOT NULL,
    scope TEXT NOT NULL,
    ip INET,
    request_id TEXT,
    CONSTRAINT pk_events PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX ix_events_actor_id_id ON events (actor_id, id);
CREATE INDEX ix_events_scope_id ON events (scope, id);
CREATE INDEX ix_events_scope_transaction_id_id ON events (scope, transaction_id, id);
CREATE INDEX ix_events_subject_id_id ON events (subject_id, id);
CREATE INDEX ix_events_transaction_id_id ON events (transaction_id, id);

CREATE TABLE deliveries (
    event_id UUID NOT NULL,
    destination TEXT NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    next_attempt_at timestamptz DEFAULT now() + interval '1 minute' NOT NULL,
    lease_until timestamptz,
    done_at timestamptz,
    error TEXT,
    CONSTRAINT pk_deliveries PRIMARY KEY (event_id, destination)
);
CREATE INDEX ix_deliveries_done_at ON deliveries (done_at);
CREATE INDEX ix_deliveries_open ON deliveries (next_attempt_at) WHERE done_at IS NULL;

CREATE TABLE idempotency_keys (
    user_id UUID NOT NULL,
    key TEXT NOT NULL,
    route TEXT NOT NULL,
    body_hash BYTEA NOT NULL,
    status INTEGER,
    headers JSONB,
    body BYTEA,
    expires_at timestamptz NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_idempotency_keys PRIMARY KEY (user_id, key, route),
    CONSTRAINT fk_idempotency_keys_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_idempotency_keys_expires_at ON idempotency_keys (expires_at);

CREATE UNLOGGED TABLE rate_counters (
    key TEXT NOT NULL,
    hits INTEGER NOT NULL,
    window_ends_at timestamptz NOT NULL,
    CONSTRAINT pk_rate_counters PRIMARY KEY (key)
);
CREATE INDEX ix_rate_counters_window_ends_at ON rate_counters (window_ends_at);
"""

NARROWED = """
-- The audit trail cannot be rewritten, and no function can enrol a key that signs tokens.
REVOKE UPDATE, DELETE ON events FROM quintet_app;
REVOKE INSERT, UPDATE, DELETE ON signing_keys FROM quintet_app;
"""

ROLES = """
INSERT INTO roles (name, description, permissions, self_assignable) VALUES
    ('admin', 'May do everything', '{*}', false),
    ('developer', 'Creates projects and reads every project', '{projects:create,projects:read_all}', false),
    ('project_admin', 'Creates projects and manages every project',
        '{projects:create,projects:read_all,projects:manage_all}', false),
    ('instructor', 'Creates projects and courses', '{projects:create,courses:create}', false),
    ('user', 'Creates projects and works on those shared with them', '{projects:create}', false),
    ('solo_entrepreneur', 'Creates projects of their own', '{projects:create}', true),
    ('team_collaborator', 'Works on projects shared with them', '{}', true),
    ('viewer', 'Sees what is shared with them', '{}', true),
    ('student', 'Takes courses', '{}', true);
"""


def upgrade() -> None:
    """Make everything."""
    for statements in (EXTENSIONS_AND_ROLE, TABLES, NARROWED, ROLES):
        op.execute(statements)
