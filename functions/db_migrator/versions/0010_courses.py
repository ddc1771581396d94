"""Courses: lessons, enrollments, progress."""

from alembic import op

revision = "0010"
down_revision = "0009"

TABLES = """
CREATE TABLE courses (
    id UUID DEFAULT uuidv7() NOT NULL,
    title TEXT NOT NULL,
    description TEXT DEFAULT '' NOT NULL,
    created_by UUID NOT NULL,
    status TEXT DEFAULT 'draft' NOT NULL,
    capacity INTEGER,
    enrolled_count INTEGER DEFAULT 0 NOT NULL,
    waitlist_count INTEGER DEFAULT 0 NOT NULL,
    archived_at timestamptz,
    search TSVECTOR GENERATED ALWAYS AS (
        setweight(words_of(title), 'A') || setweight(words_of(description), 'B')) STORED,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_courses PRIMARY KEY (id),
    CONSTRAINT ck_courses_status CHECK (status IN ('draft', 'published', 'archived')),
    CONSTRAINT ck_courses_capacity CHECK (capacity >= 1),
    CONSTRAINT ck_courses_counts CHECK (enrolled_count >= 0 AND waitlist_count >= 0),
    CONSTRAINT fk_courses_created_by FOREIGN KEY(created_by) REFERENCES users (id) ON DELETE RESTRICT
);
CREATE INDEX ix_courses_published ON courses (id) WHERE status = 'published';
CREATE INDEX ix_courses_created_by_id ON courses (created_by, id);
CREATE INDEX ix_courses_search ON courses USING gin (search);

CREATE TABLE lessons (
    id UUID DEFAULT uuidv7() NOT NULL,
    course_id UUID NOT NULL,
    position INTEGER NOT NULL,
    title TEXT NOT NULL,
    content TEXT DEFAULT '' NOT NULL,
    file_id UUID,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    version INTEGER DEFAULT 1 NOT NULL,
    CONSTRAINT pk_lessons PRIMARY KEY (id),
    CONSTRAINT ck_lessons_position CHECK (position >= 1),
    CONSTRAINT uq_lessons_course_id_position UNIQUE (course_id, position) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT fk_lessons_course_id FOREIGN KEY(course_id) REFERENCES courses (id) ON DELETE CASCADE,
    CONSTRAINT fk_lessons_file_id FOREIGN KEY(file_id) REFERENCES files (id) ON DELETE SET NULL
);
CREATE INDEX ix_lessons_file_id ON lessons (file_id);

CREATE TABLE enrollments (
    id UUID DEFAULT uuidv7() NOT NULL,
    user_id UUID NOT NULL,
    course_id UUID NOT NULL,
    status TEXT NOT NULL,
    enrolled_at timestamptz DEFAULT now() NOT NULL,
    completed_at timestamptz,
    CONSTRAINT pk_enrollments PRIMARY KEY (id),
    CONSTRAINT ck_enrollments_status CHECK (status IN ('active', 'waitlisted', 'completed')),
    CONSTRAINT ck_enrollments_completed_at CHECK ((status = 'completed') = (completed_at IS NOT NULL)),
    CONSTRAINT uq_enrollments_course_id_user_id UNIQUE (course_id, user_id),
    CONSTRAINT fk_enrollments_user_id FOREIGN KEY(user_id) REFERENCES users (id) ON DELETE RESTRICT,
    CONSTRAINT fk_enrollments_course_id FOREIGN KEY(course_id) REFERENCES courses (id) ON DELETE CASCADE
);
CREATE INDEX ix_enrollments_user_id_course_id ON enrollments (user_id, course_id);
CREATE INDEX ix_enrollments_course_id_id ON enrollments (course_id, id);
CREATE INDEX ix_enrollments_course_id_status_id ON enrollments (course_id, status, id);

CREATE TABLE lesson_progress (
    enrollment_id UUID NOT NULL,
    lesson_id UUID NOT NULL,
    completed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_lesson_progress PRIMARY KEY (enrollment_id, lesson_id),
    CONSTRAINT fk_lesson_progress_enrollment_id FOREIGN KEY(enrollment_id)
        REFERENCES enrollments (id) ON DELETE CASCADE,
    CONSTRAINT fk_lesson_progress_lesson_id FOREIGN KEY(lesson_id) REFERENCES lessons (id) ON DELETE CASCADE
);
CREATE INDEX ix_lesson_progress_lesson_id ON lesson_progress (lesson_id);
"""


def upgrade() -> None:
    """Make everything."""
    op.execute(TABLES)
