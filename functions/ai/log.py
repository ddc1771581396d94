"""The chunks of an answer in the database: written by whoever produces it, read by those who resume.

Every write is fenced: it does nothing unless the answer is still running. A producer whose sandbox was frozen, or who
lost the database for longer than its lease, finds that out by its next write, and stops.
"""

from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb
from sqlalchemy.orm import Session

from functions.ai.chunks import DONE, Part, encoded, message_of
from quintet.db.models.assistant import AiStatus
from quintet.db.reads import rows
from quintet.db.session import reading, writing

LEASE_SECONDS = 30
"""After this long without a sign of life, whoever produced an answer is taken for dead."""

INTERRUPTED = {"type": "error", "errorText": "The answer was interrupted. Ask again."}

_LEASE = f"now() + interval '{LEASE_SECONDS} seconds'"

_APPEND = f"""
    WITH run AS (
        UPDATE ai_messages SET lease_until = {_LEASE}
        WHERE id = %(id)s AND status = 'running' RETURNING id, stop_requested
    ), added AS (
        INSERT INTO ai_chunks (message_id, position, data) SELECT id, %(position)s, %(data)s FROM run
        WHERE %(data)s <> '' ON CONFLICT DO NOTHING
    )
    SELECT stop_requested FROM run"""

_BEGIN = f"""
    WITH run AS (UPDATE ai_messages SET lease_until = {_LEASE} WHERE id = %(id)s RETURNING id)
    INSERT INTO ai_chunks (message_id, position, data) SELECT id, 0, %(data)s FROM run RETURNING true"""

# Of the conversation nothing is locked: those who ask and stop lock it first, and this after.
_END = """
    WITH run AS (
        UPDATE ai_messages m SET status = %(status)s, content = %(content)s, lease_until = NULL,
            input_tokens = coalesce(%(input_tokens)s, expected.input_tokens), output_tokens = %(output_tokens)s
        FROM ai_messages expected
        WHERE m.id = %(id)s AND expected.id = m.id AND m.status = 'running'
          AND (NOT %(abandoned)s OR m.lease_until < now())
        RETURNING m.id, m.conversation_id, (m.created_at AT TIME ZONE 'UTC')::date AS day,
            m.input_tokens - expected.input_tokens AS input, m.output_tokens - expected.output_tokens AS output
    ), used AS (
        UPDATE ai_usage u SET input_tokens = u.input_tokens + input, output_tokens = u.output_tokens + output
        FROM run JOIN ai_conversations c ON c.id = run.conversation_id WHERE u.user_id = c.user_id AND u.day = run.day
    ), added AS (
        INSERT INTO ai_chunks (message_id, position, data)
        SELECT id, (SELECT coalesce(max(position), -1) + 1 FROM ai_chunks WHERE message_id = %(id)s), %(data)s FROM run
    )
    SELECT true FROM run"""

_READ = """
    SELECT m.status, m.status = 'running' AND m.lease_until < now() AS abandoned, c.data, c.position
    FROM ai_messages m LEFT JOIN LATERAL (
        SELECT string_agg(data, '' ORDER BY position) AS data, max(position) AS position FROM ai_chunks
        WHERE message_id = m.id AND position > %(after)s) c ON true
    WHERE m.id = %(id)s"""


class Ending(NamedTuple):
    """How an answer ends, and what it has used."""

    status: AiStatus
    content: list[Part]
    data: str
    input_tokens: int | None
    """None: as was expected."""
    output_tokens: int


class Read(NamedTuple):
    """What there is of an answer after a position."""

    status: AiStatus
    abandoned: bool
    data: str | None
    position: int | None


def begin(session: Session, id: UUID, data: str) -> None:
    """What the stream of a new answer starts with; its lease counts from now."""
    rows(session, _BEGIN, {"id": id, "data": data})


def append(id: UUID, position: int, data: str) -> bool | None:
    """Add a piece, or only show that we are alive; whether the answer is to stop, None when it is not ours any more.

    Repeatable: who does not know whether it was done does it again, with the same piece.
    """
    with reading() as session:
        found = rows(session, _APPEND, {"id": id, "position": position, "data": data})
    return found[0].stop_requested if found else None


def end(id: UUID, ending: Ending) -> bool:
    """End an answer; whether it was still ours to end."""
    with writing() as session:
        return _end(session, id, ending, abandoned=False)


def read(id: UUID, after: int) -> Read | None:
    """What there is after this position, and how the answer stands: of one moment."""
    with reading() as session:
        found = rows(session, _READ, {"id": id, "after": after})
    return Read(*found[0]) if found else None


def interrupt(session: Session, id: UUID, *, abandoned: bool = True) -> None:
    """End an answer whose producer has died, unless somebody else just did. What it has used nobody knows.

    Without `abandoned` it is the producer itself that gives up.
    """
    so_far = rows(session, _READ, {"id": id, "after": -1})
    said = (so_far[0].data if so_far else None) or ""
    ending = Ending("interrupted", message_of(said).parts, encoded(INTERRUPTED) + DONE, None, len(said) // 4)
    _end(session, id, ending, abandoned=abandoned)


def _end(session: Session, id: UUID, ending: Ending, *, abandoned: bool) -> bool:
    given: dict[str, Any] = {**ending._asdict(), "content": Jsonb(ending.content)}
    return bool(rows(session, _END, {**given, "id": id, "abandoned": abandoned}))
