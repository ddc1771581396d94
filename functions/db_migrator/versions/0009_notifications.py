"""Webhooks: which are slow, since when a delivery is tried, its lists by status. Notifications: when they were read."""

from alembic import op

revision = "0009"
down_revision = "0008"

WEBHOOKS = """
ALTER TABLE webhooks ADD COLUMN slow BOOLEAN DEFAULT false NOT NULL;
ALTER TABLE webhook_deliveries ADD COLUMN first_tried_at timestamptz;
CREATE INDEX ix_webhook_deliveries_webhook_id_status_id ON webhook_deliveries (webhook_id, status, id);
CREATE INDEX ix_webhook_deliveries_running ON webhook_deliveries (webhook_id)
    WHERE status = 'pending' AND attempts > 0 AND latency_ms IS NULL;
DROP INDEX ix_webhook_deliveries_webhook_id_pending;
"""

NOTIFICATIONS = "CREATE INDEX ix_notifications_read_at ON notifications (read_at) WHERE read_at IS NOT NULL"


def upgrade() -> None:
    """Make everything."""
    for statements in (WEBHOOKS, NOTIFICATIONS):
        op.execute(statements)
