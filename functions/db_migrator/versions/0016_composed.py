"""Words are the same however their letters are put together: a Mac writes the ü of a file's name as two characters."""

from alembic import op

revision = "0016"
down_revision = "0015"

WORDS = r"""
CREATE OR REPLACE FUNCTION words_of(said text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_tsvector('simple', regexp_replace(
    -- of ASCII alone, which most contacts are, there is nothing to put together
    (CASE WHEN octet_length(said) = length(said) THEN said ELSE normalize(said, NFC) END) COLLATE pg_unicode_fast,
    '[^[:alnum:]]+', ' ', 'g'));

CREATE OR REPLACE FUNCTION words_sought(asked text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN websearch_to_tsquery('simple', regexp_replace(
    normalize(asked, NFC) COLLATE pg_unicode_fast, '(?![ \t\r\n"-])[^[:alnum:]]|(?<=[^ \t\r\n"])-', '_', 'g'));
"""

INDEXED = {
    "projects": ("title", "description"),
    "campaigns": ("name", "description"),
    "courses": ("title", "description"),
    "tasks": ("title", "description"),
    "contacts": ("full_name", "email", "external_id"),
    "messages": ("text",),
    "files": ("file_name",),
    "file_texts": ("text",),
}
"""Table -> the columns that its words are in."""


def upgrade() -> None:
    """Replace the functions, and have the words made anew of what was written the other way."""
    op.execute(WORDS)
    for table, columns in INDEXED.items():
        decomposed = " OR ".join(f"{column} IS NOT NFC NORMALIZED" for column in columns)
        op.execute(f"UPDATE {table} SET {columns[0]} = {columns[0]} WHERE {decomposed}")
