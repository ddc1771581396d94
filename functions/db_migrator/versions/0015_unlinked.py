"""Identities that were unlinked are remembered."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Note when."""
    op.execute("ALTER TABLE oauth_identities ADD COLUMN unlinked_at timestamptz")
