"""Tasks, and the time zones people live in."""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = """
ALTER TABLE users ADD COLUMN time_zone TEXT DEFAULT 'UTC' NOT NULL;

CREATE TABLE tasks (
    id UUID DEFAULT uuidv7() NOT NULL,
    project_id UUID NOT NULL,
    title TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    status TEXT DEFAULT 'todo' NOT NULL,
    priority TEXT DEFAULT 'normal' NOT NULL,
    assignee_id UUID,
    due_date DATE,
    position TEXT COLLATE "C" NOT NULL,
    created_by UUID NOT NULL,
    search TSVECTOR GENERATED ALWAYS AS (
        setweight(to_tsvector('simple', title), 'A') || setweight(to_tsvector('simple', description), 'B')) STORED,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_tasks PRIMARY KEY (id),
    CONSTRAINT ck_tasks_status CHECK (status IN ('todo', 'in_progress', 'blocked', 'done')),
    CONSTRAINT ck_tasks_priority CHECK (priority IN ('low', 'normal', 'high', 'urgent')),
    CONSTRAINT ck_tasks_position CHECK (length(position) <= 500),
    CONSTRAINT uq_tasks_project_id_position UNIQUE (project_id, position),
    CONSTRAINT fk_tasks_project_id FOREIGN KEY(project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_tasks_assignee_id FOREIGN KEY(assignee_id) REFERENCES users (id) ON DELETE SET NULL,
    CONSTRAINT fk_tasks_created_by FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE RESTRICT
);
CREATE INDEX ix_tasks_project_id_status_position ON tasks (project_id, status, position);
CREATE INDEX ix_tasks_project_id_assignee_id_position ON tasks (project_id, assignee_id, position);
CREATE INDEX ix_tasks_project_id_id ON tasks (project_id, id);
CREATE INDEX ix_tasks_project_id_due_order_id ON tasks (project_id, coalesce(due_date, 'infinity'::date), id);
CREATE INDEX ix_tasks_assignee_id_id ON tasks (assignee_id, id);
CREATE INDEX ix_tasks_assignee_id_due_order_id ON tasks (assignee_id, coalesce(due_date, 'infinity'::date), id);
CREATE INDEX ix_tasks_due_order_id ON tasks (coalesce(due_date, 'infinity'::date), id);
CREATE INDEX ix_tasks_created_by ON tasks (created_by);
CREATE INDEX ix_tasks_search ON tasks USING gin (search);
"""


def upgrade() -> None:
    """Make everything."""
    op.execute(TABLES)
