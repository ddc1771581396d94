"""${message}"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Expand: old code must run on with this."""
    ${upgrades if upgrades else "op.execute('')"}
