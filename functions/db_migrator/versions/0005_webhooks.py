"""Webhooks and their deliveries."""

from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = """
CREATE TABLE webhooks (
    id UUID DEFAULT uuidv7() NOT NULL,
    owner_id UUID NOT NULL,
    url TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    types TEXT[] DEFAULT '{}' NOT NULL,
    status TEXT DEFAULT 'active' NOT NULL,
    paused_reason TEXT,
    secret BYTEA NOT NULL,
    former_secret BYTEA,
    former_secret_until timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_webhooks PRIMARY KEY (id),
    CONSTRAINT ck_webhooks_status CHECK (status IN ('active', 'paused')),
    CONSTRAINT ck_webhooks_paused_reason CHECK (paused_reason IN ('owner', 'failing', 'gone')),
    CONSTRAINT ck_webhooks_paused CHECK ((status = 'paused') = (paused_reason IS NOT NULL)),
    CONSTRAINT ck_webhooks_former_secret CHECK ((former_secret IS NULL) = (former_secret_until IS NULL)),
    CONSTRAINT fk_webhooks_owner_id FOREIGN KEY(owner_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX ix_webhooks_owner_id_id ON webhooks (owner_id, id);
CREATE INDEX ix_webhooks_wanted ON webhooks USING gin (types) WITH (fastupdate = off) WHERE status = 'active';

CREATE TABLE webhook_deliveries (
    id UUID DEFAULT uuidv7() NOT NULL,
    webhook_id UUID NOT NULL,
    event_id UUID NOT NULL,
    type TEXT NOT NULL,
    status TEXT DEFAULT 'pending' NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    next_attempt_at timestamptz DEFAULT now() + interval '1 minute',
    lease_until timestamptz,
    status_code INTEGER,
    error TEXT,
    latency_ms INTEGER,
    created_at timestamptz DEFAULT now() NOT NULL,
    done_at timestamptz,
    CONSTRAINT pk_webhook_deliveries PRIMARY KEY (id),
    CONSTRAINT ck_webhook_deliveries_status CHECK (status IN ('pending', 'delivered', 'failed')),
    CONSTRAINT fk_webhook_deliveries_webhook_id FOREIGN KEY(webhook_id) REFERENCES webhooks (id) ON DELETE CASCADE,
    CONSTRAINT uq_webhook_deliveries_webhook_id_event_id UNIQUE (webhook_id, event_id)
);
CREATE INDEX ix_webhook_deliveries_webhook_id_id ON webhook_deliveries (webhook_id, id);
CREATE INDEX ix_webhook_deliveries_webhook_id_pending ON webhook_deliveries (webhook_id) WHERE status = 'pending';
CREATE INDEX ix_webhook_deliveries_pending ON webhook_deliveries (next_attempt_at) WHERE status = 'pending';
"""

OUTBOX = """
-- Asked at every write, so it is a function, which is planned once for each connection: a fifth of what the same costs
-- inside of the statement. As the query stands, the planner looks for all who want the event in their index, and the
-- first is enough. Were it to plan for one, it would walk the table, in the hope that one comes soon.
CREATE FUNCTION sent_to_webhooks(id uuid, type text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        WITH wanting AS MATERIALIZED (
            SELECT FROM webhooks w
            WHERE w.status = 'active' AND (w.types = '{}' OR w.types @> ARRAY[sent_to_webhooks.type]))
        SELECT FROM wanting)
    THEN
        RETURN false;
    END IF;
    INSERT INTO deliveries (event_id, destination) VALUES (sent_to_webhooks.id, 'webhooks');
    RETURN true;
END $$;
"""


def upgrade() -> None:
    """Make everything."""
    for statements in (TABLES, OUTBOX):
        op.execute(statements)
