"""What an answer may draw on: only what the caller may read, asked for in SQL, for each question anew."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from functions.ai.providers import Source
from functions.ai.words import query
from quintet.db.reads import rows
from quintet.errors import BadRequest
from quintet.identity.conversations import attached, is_member
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal

MAX_SOURCES = 8
_EACH = 4
"""At most, of each kind."""
_TEXT = 4_000
"""Characters of one."""
_TASKS = 40
_MESSAGES = 40

_MY_PROJECTS = "ANY (ARRAY(SELECT project_id FROM project_members WHERE user_id = %(caller)s))"
_MY_CONVERSATIONS = "ANY (ARRAY(SELECT conversation_id FROM conversation_members WHERE user_id = %(caller)s))"
_SEES_PROJECT = "(%(all)s OR {id} = " + _MY_PROJECTS + ")"
_SOUGHT = "words_sought(%(q)s)"

_PROJECTS = f"""
    SELECT 'project' AS kind, p.id, p.title, p.description AS text, '' AS media_type,
           ts_rank(p.search, {_SOUGHT}) AS rank
    FROM projects p WHERE {_SEES_PROJECT.format(id="p.id")} AND p.search @@ {_SOUGHT}
      AND (%(project)s::uuid IS NULL OR p.id = %(project)s)"""
_TASKS_FOUND = f"""
    SELECT 'task' AS kind, t.id, t.title,
           t.description || E'\\nStatus: ' || t.status || coalesce(E'\\nDue: ' || t.due_date, '') AS text,
           '' AS media_type, ts_rank(t.search, {_SOUGHT}) AS rank
    FROM tasks t WHERE {_SEES_PROJECT.format(id="t.project_id")} AND t.search @@ {_SOUGHT}
      AND (%(project)s::uuid IS NULL OR t.project_id = %(project)s)"""
# The newest of those with the words, by their time: see `conversations.search`.
_MESSAGES_FOUND = f"""
    SELECT 'message' AS kind, m.id,
           u.full_name || ', ' || to_char(m.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS title,
           m.text, '' AS media_type, ts_rank(m.search, {_SOUGHT}) AS rank
    FROM (SELECT m.* FROM messages m
          WHERE m.conversation_id = {_MY_CONVERSATIONS} AND m.search @@ {_SOUGHT} AND m.deleted_at IS NULL
            AND (%(conversation)s::uuid IS NULL OR m.conversation_id = %(conversation)s)
          ORDER BY m.created_at DESC LIMIT 200) m
    JOIN users u ON u.id = m.sender_id
    WHERE %(project)s::uuid IS NULL OR %(conversation)s::uuid IS NOT NULL"""
_FILES = f"""
    SELECT 'file' AS kind, f.id, f.file_name AS title, x.text, coalesce(f.detected_type, '') AS media_type,
           ts_rank(x.search, {_SOUGHT}) AS rank
    FROM file_texts x JOIN files f ON f.id = x.file_id
    WHERE x.search @@ {_SOUGHT} AND f.status = 'ready'
      AND (%(project)s::uuid IS NULL OR f.project_id = %(project)s)
      AND CASE WHEN f.project_id IS NULL THEN f.owner_id = %(caller)s OR {attached("f")}
          ELSE {_SEES_PROJECT.format(id="f.project_id")} END"""

_FOUND = " UNION ALL ".join(
    f"(SELECT * FROM ({part}) found ORDER BY rank DESC, id DESC LIMIT {_EACH})"
    for part in (_PROJECTS, _TASKS_FOUND, _MESSAGES_FOUND, _FILES)
)
_SEARCH = f"""
    SELECT kind, id, title, left(text, {_TEXT}) AS text, media_type FROM ({_FOUND}) found
    ORDER BY rank DESC, id DESC LIMIT {MAX_SOURCES}"""

_PROJECT = f"""
    SELECT 'project' AS kind, p.id, p.title, left(p.description, {_TEXT}) || coalesce(E'\\nTasks:\\n' || (
        SELECT string_agg('- ' || t.title || ' (' || t.status || coalesce(', due ' || t.due_date, '') || ')', E'\\n'
                          ORDER BY t.position)
        FROM (SELECT * FROM tasks WHERE project_id = p.id ORDER BY position LIMIT {_TASKS}) t), '') AS text,
        '' AS media_type
    FROM projects p WHERE p.id = %(project)s AND {_SEES_PROJECT.format(id="p.id")}"""

_CONVERSATION = f"""
    SELECT 'conversation' AS kind, c.id, coalesce(c.title, 'A direct conversation') AS title, coalesce((
        SELECT string_agg(u.full_name || ': ' || left(m.text, 1000), E'\\n' ORDER BY m.id)
        FROM (SELECT * FROM messages WHERE conversation_id = c.id AND deleted_at IS NULL
              ORDER BY conversation_id DESC, id DESC LIMIT {_MESSAGES}) m
        JOIN users u ON u.id = m.sender_id), '') AS text, '' AS media_type
    FROM conversations c WHERE c.id = %(conversation)s AND {is_member("c.id")}"""

_PATHS = {
    "project": "/projects/{}",
    "task": "/tasks/{}",
    "message": "/messages/{}",
    "conversation": "/conversations/{}",
    "file": "/files/{}",
}


def find(
    session: Session, caller: Principal, *, question: str, project_id: UUID | None, conversation_id: UUID | None
) -> list[Source]:
    """What has the question's words, the best first; before that the project or conversation that is looked at.

    400 when the caller cannot see that one.
    """
    params = rights(caller) | {"project": project_id, "conversation": conversation_id, "q": query(question)}
    found = []
    if project_id:
        found += _one(session, _PROJECT, params, "project")
    if conversation_id:
        found += [_conversation(session, params)]
    if params["q"]:
        seen = {source.id for source in found}
        found += [source for source in map(_source, rows(session, _SEARCH, params)) if source.id not in seen]
    return found[:MAX_SOURCES]


def read_conversation(session: Session, caller: Principal, conversation_id: UUID) -> Source:
    """What was last said there; 400 when the caller takes no part."""
    return _conversation(session, rights(caller) | {"conversation": conversation_id})


def rights(caller: Principal) -> dict[str, Any]:
    """Parameters: who asks, and whether they may see every project."""
    return {"caller": caller.user_id, "all": caller.can(Permission.PROJECTS_READ_ALL)}


def _conversation(session: Session, params: dict[str, Any]) -> Source:
    [source] = _one(session, _CONVERSATION, params, "conversation")
    # What was said last counts most.
    return Source(source.kind, source.id, source.title, source.text[-2 * _TEXT :], path=source.path)


def _one(session: Session, sql: str, params: dict[str, Any], kind: str) -> list[Source]:
    found = rows(session, sql, params)
    if not found:
        raise BadRequest.at(f"/{kind}_id", f"There is no {kind} with this id that you can see.")
    return [_source(found[0])]


def _source(row: Any) -> Source:
    path = _PATHS[row.kind].format(row.id)
    return Source(row.kind, row.id, row.title, row.text, row.media_type or "text/plain", path)
