"""Campaigns: contacts, agents, imports, and the tallies that reports add up."""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE campaigns (
    id UUID DEFAULT uuidv7() NOT NULL,
    name TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    status TEXT DEFAULT 'draft' NOT NULL,
    start_date DATE,
    end_date DATE,
    default_country TEXT,
    distributed BOOLEAN DEFAULT false NOT NULL,
    created_by UUID NOT NULL,
    archived_at timestamptz,
    search TSVECTOR GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', name), 'A') || setweight(to_tsvector('simple', description), 'B')) STORED,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_campaigns PRIMARY KEY (id),
    CONSTRAINT ck_campaigns_status CHECK (status IN ('draft', 'active', 'paused', 'completed')),
    CONSTRAINT ck_campaigns_dates CHECK (end_date >= start_date),
    CONSTRAINT fk_campaigns_created_by FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE RESTRICT
);
CREATE INDEX ix_campaigns_created_by_id ON campaigns (created_by, id);
CREATE INDEX ix_campaigns_search ON campaigns USING gin (search);

CREATE TABLE agents (
    id UUID DEFAULT uuidv7() NOT NULL,
    name TEXT NOT NULL,
    email CITEXT NOT NULL,
    user_id UUID,
    available BOOLEAN DEFAULT true NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_agents PRIMARY KEY (id),
    CONSTRAINT uq_agents_email UNIQUE (email),
    CONSTRAINT uq_agents_user_id UNIQUE (user_id),
    CONSTRAINT fk_agents_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE SET NULL
);

CREATE TABLE campaign_assignments (
    campaign_id UUID NOT NULL,
    agent_id UUID NOT NULL,
    assigned_at timestamptz DEFAULT now() NOT NULL,
    assigned_by UUID NOT NULL,
    CONSTRAINT pk_campaign_assignments PRIMARY KEY (campaign_id, agent_id),
    CONSTRAINT fk_campaign_assignments_campaign_id FOREIGN KEY(campaign_id)
        REFERENCES campaigns (id) ON DELETE CASCADE,
    CONSTRAINT fk_campaign_assignments_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id) ON DELETE RESTRICT,
    CONSTRAINT fk_campaign_assignments_assigned_by FOREIGN KEY(assigned_by) REFERENCES users (id) ON DELETE RESTRICT
);
CREATE INDEX ix_campaign_assignments_agent_id ON campaign_assignments (agent_id);
CREATE INDEX ix_campaign_assignments_assigned_by ON campaign_assignments (assigned_by);

CREATE TABLE campaign_uploads (
    id UUID DEFAULT uuidv7() NOT NULL,
    campaign_id UUID NOT NULL,
    file_id UUID,
    created_by UUID NOT NULL,
    status TEXT DEFAULT 'uploaded' NOT NULL,
    reason TEXT,
    dry_run BOOLEAN DEFAULT false NOT NULL,
    on_duplicate TEXT DEFAULT 'skip' NOT NULL,
    mapping JSONB,
    table_format JSONB,
    rows_total INTEGER DEFAULT 0 NOT NULL,
    rows_created INTEGER DEFAULT 0 NOT NULL,
    rows_updated INTEGER DEFAULT 0 NOT NULL,
    rows_duplicate INTEGER DEFAULT 0 NOT NULL,
    rows_invalid INTEGER DEFAULT 0 NOT NULL,
    progress DOUBLE PRECISION DEFAULT 0 NOT NULL,
    run INTEGER DEFAULT 0 NOT NULL,
    chunk INTEGER DEFAULT 0 NOT NULL,
    lease_until timestamptz,
    failed_rows_file UUID,
    uploaded_at timestamptz DEFAULT now() NOT NULL,
    started_at timestamptz,
    processed_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_campaign_uploads PRIMARY KEY (id),
    CONSTRAINT ck_campaign_uploads_status CHECK (
        status IN ('uploaded', 'processing', 'processed', 'failed', 'cancelled', 'reverting', 'reverted')),
    CONSTRAINT ck_campaign_uploads_on_duplicate CHECK (on_duplicate IN ('skip', 'update')),
    CONSTRAINT fk_campaign_uploads_campaign_id FOREIGN KEY(campaign_id) REFERENCES campaigns (id) ON DELETE CASCADE,
    CONSTRAINT fk_campaign_uploads_file_id FOREIGN KEY(file_id) REFERENCES files (id) ON DELETE SET NULL,
    CONSTRAINT fk_campaign_uploads_created_by FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT fk_campaign_uploads_failed_rows_file FOREIGN KEY(failed_rows_file)
        REFERENCES files (id) ON DELETE SET NULL
);
CREATE INDEX ix_campaign_uploads_campaign_id_id ON campaign_uploads (campaign_id, id);
CREATE INDEX ix_campaign_uploads_created_by ON campaign_uploads (created_by);
CREATE INDEX ix_campaign_uploads_failed_rows_file ON campaign_uploads (failed_rows_file);
CREATE INDEX ix_campaign_uploads_file_id ON campaign_uploads (file_id);
CREATE INDEX ix_campaign_uploads_open ON campaign_uploads (lease_until)
    WHERE status IN ('uploaded', 'processing', 'reverting');

CREATE TABLE contacts (
    id UUID DEFAULT uuidv7() NOT NULL,
    campaign_id UUID NOT NULL,
    upload_id UUID,
    agent_id UUID,
    external_id TEXT,
    full_name TEXT,
    email TEXT,
    phone TEXT,
    attributes JSONB DEFAULT '{}' NOT NULL,
    status TEXT DEFAULT 'new' NOT NULL,
    worked_version INTEGER,
    match_key TEXT GENERATED ALWAYS AS (coalesce(email, phone)) STORED NOT NULL,
    search TSVECTOR GENERATED ALWAYS AS (to_tsvector(
        'simple', coalesce(full_name, '') || ' ' || coalesce(email, '')
        || ' ' || coalesce(phone, '') || ' ' || coalesce(external_id, ''))) STORED,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_contacts PRIMARY KEY (id),
    CONSTRAINT ck_contacts_status CHECK (status IN ('new', 'contacted', 'converted', 'rejected', 'unreachable')),
    CONSTRAINT ck_contacts_reachable CHECK (email IS NOT NULL OR phone IS NOT NULL),
    CONSTRAINT uq_contacts_campaign_id_match_key UNIQUE (campaign_id, match_key),
    CONSTRAINT fk_contacts_campaign_id FOREIGN KEY(campaign_id) REFERENCES campaigns (id) ON DELETE RESTRICT,
    CONSTRAINT fk_contacts_upload_id FOREIGN KEY(upload_id) REFERENCES campaign_uploads (id) ON DELETE RESTRICT,
    CONSTRAINT fk_contacts_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id) ON DELETE RESTRICT
);
CREATE INDEX ix_contacts_agent_id_campaign_id_id ON contacts (agent_id, campaign_id, id);
CREATE INDEX ix_contacts_campaign_id_id ON contacts (campaign_id, id);
CREATE INDEX ix_contacts_campaign_id_status_id ON contacts (campaign_id, status, id);
CREATE INDEX ix_contacts_search ON contacts USING gin (search);
CREATE INDEX ix_contacts_upload_id ON contacts (upload_id);

CREATE TABLE contact_activities (
    id UUID DEFAULT uuidv7() NOT NULL,
    campaign_id UUID NOT NULL,
    contact_id UUID NOT NULL,
    agent_id UUID,
    user_id UUID,
    outcome TEXT NOT NULL,
    note TEXT DEFAULT '' NOT NULL,
    duration INTEGER DEFAULT 0 NOT NULL,
    at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_contact_activities PRIMARY KEY (id),
    CONSTRAINT ck_contact_activities_outcome CHECK (outcome IN ('contacted', 'converted', 'rejected', 'unreachable')),
    CONSTRAINT ck_contact_activities_duration CHECK (duration >= 0),
    CONSTRAINT fk_contact_activities_campaign_id FOREIGN KEY(campaign_id)
        REFERENCES campaigns (id) ON DELETE RESTRICT,
    CONSTRAINT fk_contact_activities_contact_id FOREIGN KEY(contact_id) REFERENCES contacts (id) ON DELETE RESTRICT,
    CONSTRAINT fk_contact_activities_agent_id FOREIGN KEY(agent_id) REFERENCES agents (id) ON DELETE RESTRICT,
    CONSTRAINT fk_contact_activities_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE SET NULL
);
CREATE INDEX ix_contact_activities_agent_id ON contact_activities (agent_id);
CREATE INDEX ix_contact_activities_campaign_id ON contact_activities (campaign_id);
CREATE INDEX ix_contact_activities_contact_id_id ON contact_activities (contact_id, id);
CREATE INDEX ix_contact_activities_user_id ON contact_activities (user_id);

CREATE TABLE upload_changes (
    upload_id UUID NOT NULL,
    contact_id UUID NOT NULL,
    before JSONB NOT NULL,
    version INTEGER NOT NULL,
    CONSTRAINT pk_upload_changes PRIMARY KEY (upload_id, contact_id),
    CONSTRAINT fk_upload_changes_upload_id FOREIGN KEY(upload_id) REFERENCES campaign_uploads (id) ON DELETE CASCADE,
    CONSTRAINT fk_upload_changes_contact_id FOREIGN KEY(contact_id) REFERENCES contacts (id) ON DELETE CASCADE
);
CREATE INDEX ix_upload_changes_contact_id ON upload_changes (contact_id);

CREATE TABLE upload_failures (
    upload_id UUID NOT NULL,
    line BIGINT NOT NULL,
    reason TEXT NOT NULL,
    cells TEXT[] NOT NULL,
    CONSTRAINT pk_upload_failures PRIMARY KEY (upload_id, line),
    CONSTRAINT fk_upload_failures_upload_id FOREIGN KEY(upload_id) REFERENCES campaign_uploads (id) ON DELETE CASCADE
);

CREATE UNLOGGED TABLE contact_staging (
    upload_id UUID NOT NULL,
    run INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    line BIGINT NOT NULL,
    external_id TEXT,
    full_name TEXT,
    email TEXT,
    phone TEXT,
    attributes JSONB NOT NULL,
    CONSTRAINT pk_contact_staging PRIMARY KEY (upload_id, run, chunk, line)
);

CREATE TABLE contact_tallies (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    campaign_id UUID NOT NULL,
    agent_id UUID,
    status TEXT NOT NULL,
    n INTEGER NOT NULL,
    merged BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_contact_tallies PRIMARY KEY (id)
);
CREATE INDEX ix_contact_tallies_agent_id ON contact_tallies (agent_id);
CREATE INDEX ix_contact_tallies_campaign_id ON contact_tallies (campaign_id);
CREATE INDEX ix_contact_tallies_new ON contact_tallies (id) WHERE NOT merged;
CREATE UNIQUE INDEX uq_contact_tallies_merged ON contact_tallies (campaign_id, agent_id, status)
    NULLS NOT DISTINCT WHERE merged;

CREATE TABLE activity_tallies (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    campaign_id UUID NOT NULL,
    agent_id UUID,
    day DATE NOT NULL,
    outcome TEXT NOT NULL,
    n INTEGER NOT NULL,
    seconds BIGINT NOT NULL,
    merged BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_activity_tallies PRIMARY KEY (id)
);
CREATE INDEX ix_activity_tallies_agent_id_day ON activity_tallies (agent_id, day);
CREATE INDEX ix_activity_tallies_campaign_id_day ON activity_tallies (campaign_id, day);
CREATE INDEX ix_activity_tallies_new ON activity_tallies (id) WHERE NOT merged;
CREATE UNIQUE INDEX uq_activity_tallies_merged ON activity_tallies (campaign_id, day, agent_id, outcome)
    NULLS NOT DISTINCT WHERE merged;
"""

TALLIES = """
-- Each trigger adds what a statement changed to the tallies, once per statement however many rows it had.
CREATE FUNCTION tally_new_contacts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO contact_tallies (campaign_id, agent_id, status, n)
    SELECT campaign_id, agent_id, status, count(*) FROM new_rows GROUP BY 1, 2, 3;
    RETURN NULL;
END $$;

CREATE FUNCTION tally_changed_contacts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO contact_tallies (campaign_id, agent_id, status, n)
    SELECT campaign_id, agent_id, status, sum(n) FROM (
        SELECT campaign_id, agent_id, status, 1 AS n FROM new_rows
        UNION ALL SELECT campaign_id, agent_id, status, -1 FROM old_rows) changes
    GROUP BY 1, 2, 3 HAVING sum(n) <> 0;
    RETURN NULL;
END $$;

CREATE FUNCTION tally_removed_contacts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO contact_tallies (campaign_id, agent_id, status, n)
    SELECT campaign_id, agent_id, status, -count(*) FROM old_rows GROUP BY 1, 2, 3;
    RETURN NULL;
END $$;

CREATE FUNCTION tally_activities() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO activity_tallies (campaign_id, agent_id, day, outcome, n, seconds)
    SELECT campaign_id, agent_id, (at AT TIME ZONE 'UTC')::date, outcome, count(*), sum(duration)
    FROM new_rows GROUP BY 1, 2, 3, 4;
    RETURN NULL;
END $$;

CREATE TRIGGER contacts_added AFTER INSERT ON contacts
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tally_new_contacts();
CREATE TRIGGER contacts_changed AFTER UPDATE ON contacts
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION tally_changed_contacts();
CREATE TRIGGER contacts_removed AFTER DELETE ON contacts
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION tally_removed_contacts();
CREATE TRIGGER activities_added AFTER INSERT ON contact_activities
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION tally_activities();
"""

PERMISSIONS = """
UPDATE roles SET permissions = permissions || '{campaigns:create}', updated_at = now(), version = version + 1
WHERE name IN ('user', 'solo_entrepreneur', 'project_admin');
UPDATE roles SET permissions = permissions || '{campaigns:manage_all,agents:write}'
WHERE name = 'project_admin';
"""


def upgrade() -> None:
    """Make everything."""
    for statements in (TABLES, TALLIES, PERMISSIONS):
        op.execute(statements)
