"""Search by words, whatever stands between them; the log's walk past all that concerns conversations; whom a
message mentioned before."""

from alembic import op

revision = "0008"
down_revision = "0007"

# Of what stands between words PostgreSQL's parser would make addresses, tags and paths, for which it looks ahead again
# and again: `a_a_a…`, 64 KB of it, took it 25 seconds. Letters and digits are Unicode's, whatever the server's locale.
WORDS = r"""
CREATE FUNCTION words_of(said text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN to_tsvector('simple', regexp_replace(said COLLATE pg_unicode_fast, '[^[:alnum:]]+', ' ', 'g'));

-- As websearch_to_tsquery has it: "quoted" ones in a row, `or`, and `-` before what is not to be there. What is written
-- as one word and is none (`TASK-1234`, `bob@example.com`) is words in a row: an underscore parts words for the parser,
-- but not for the query.
CREATE FUNCTION words_sought(asked text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN websearch_to_tsquery('simple', regexp_replace(
    asked COLLATE pg_unicode_fast, '(?![ \t\r\n"-])[^[:alnum:]]|(?<=[^ \t\r\n"])-', '_', 'g'));
"""

_TITLED = "setweight(words_of({}), 'A') || setweight(words_of(description), 'B')"
COLUMNS = {
    "projects": _TITLED.format("title"),
    "campaigns": _TITLED.format("name"),
    "tasks": _TITLED.format("title"),
    "contacts": "words_of(coalesce(full_name, '') || ' ' || coalesce(email, '') || ' '"
    " || coalesce(phone, '') || ' ' || coalesce(external_id, ''))",
    "messages": "words_of(text)",
}
"""Table -> what its column `search` is made of."""

_PUBLIC = "NOT starts_with(scope, 'conversation:') AND subject_type NOT IN ('conversation', 'message')"
EVENTS = f"""
-- That somebody was taken off a conversation, or that it was removed, is told to those it concerns in their own scope.
DROP INDEX ix_events_public_id, ix_events_public_transaction_id_id;
CREATE INDEX ix_events_public_id ON events (id) WHERE {_PUBLIC};
CREATE INDEX ix_events_public_transaction_id_id ON events (transaction_id, id) WHERE {_PUBLIC};
-- Nobody reads of everything any more.
DROP INDEX ix_events_transaction_id_id;
"""

MENTIONS = "ALTER TABLE message_mentions ADD COLUMN current BOOLEAN DEFAULT true NOT NULL"


def upgrade() -> None:
    """Make everything."""
    op.execute(WORDS)
    for table, expression in COLUMNS.items():
        op.execute(f"ALTER TABLE {table} ALTER COLUMN search SET EXPRESSION AS ({expression})")
    op.execute(EVENTS)
    op.execute(MENTIONS)
