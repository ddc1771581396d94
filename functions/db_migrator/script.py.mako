"""${message}"""

from alembic import op

revision = "${up_revision}"
down_revision = "${down_revision}"


def upgrade() -> None:
    """Expand: the code before must run on with this. What it no longer uses can go in the release after.

    Indexes of tables that are there are made CONCURRENTLY, in a `with op.get_context().autocommit_block():`.
    """
    op.execute("")
