"""What an answer may draw on: only what the caller may read, asked for in SQL, for each question anew."""

from dataclasses import dataclass
from functools import cache
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

_SEES_PROJECT = """(%(all)s OR EXISTS (
    SELECT FROM project_members WHERE project_id = {id} AND user_id = %(caller)s))"""
_SOUGHT = "words_sought(%(q)s)"

_FEW = 2_000
"""Rows with the words that are looked at whoever's they are; when there are more, the caller's own are walked."""
_ENOUGH = 200
"""Of those that were walked, the newest, that are ranked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """What can be found, `r` in SQL."""

    table: str
    shown: str
    """SQL: id, title, text and media type."""
    column: str
    """Where a row says which scope it lies in; an index begins with that, and goes on with `then`."""
    then: str = "id"
    joins: str = ""
    kept: str = "true"


_PROJECT_FOUND = _Kind(table="projects", column="id", shown="r.id, r.title, r.description AS text, '' AS media_type")
_TASK_FOUND = _Kind(
    table="tasks",
    column="project_id",
    shown="""r.id, r.title,
        r.description || E'\\nStatus: ' || r.status || coalesce(E'\\nDue: ' || r.due_date, '') AS text,
        '' AS media_type""",
)
_MESSAGE_FOUND = _Kind(
    table="messages",
    column="conversation_id",
    kept="r.deleted_at IS NULL",
    shown="""r.id, u.full_name || ', ' || to_char(r.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD') AS title, r.text,
        '' AS media_type""",
    joins="JOIN users u ON u.id = r.sender_id",
)
_PASSAGE = _Kind(
    table="file_texts",
    column="file_id",
    then="position",
    shown="f.id, f.file_name AS title, r.text, coalesce(f.detected_type, '') AS media_type",
    joins="JOIN files f ON f.id = r.file_id",
)

_MY_PROJECTS = "SELECT project_id AS scope FROM project_members WHERE user_id = %(caller)s"
_THIS_PROJECT = f"SELECT id AS scope FROM projects WHERE id = %(project)s AND {_SEES_PROJECT.format(id='%(project)s')}"
_MY_CONVERSATIONS = "SELECT conversation_id AS scope FROM conversation_members WHERE user_id = %(caller)s"
_THIS_CONVERSATION = f"{_MY_CONVERSATIONS} AND conversation_id = %(conversation)s"
_FILES_OF = "SELECT id AS scope FROM files WHERE project_id IN ({projects}) AND status = 'ready'"
# Of a conversation those sent last: there is no end to what is said in some.
_MY_FILES = """SELECT id AS scope FROM files WHERE owner_id = %(caller)s AND project_id IS NULL AND status = 'ready'
    UNION SELECT f.id FROM conversation_members me CROSS JOIN LATERAL (
        SELECT id FROM messages WHERE conversation_id = me.conversation_id
        ORDER BY conversation_id DESC, id DESC LIMIT 500) m
    JOIN attachments a ON a.message_id = m.id JOIN files f ON f.id = a.file_id
    WHERE me.user_id = %(caller)s AND f.status = 'ready' AND f.project_id IS NULL"""
_OWN_OR_SENT = f"(f.owner_id = %(caller)s OR {attached('f')})"
_READS_FILE = """EXISTS (SELECT FROM files f WHERE f.id = r.file_id AND f.status = 'ready'
    AND CASE WHEN f.project_id IS NULL THEN {personal} ELSE {shared} END)"""

_HITS = f"""{{table}}_hits AS MATERIALIZED (
    SELECT r.* FROM {{table}} r WHERE r.search @@ {_SOUGHT} AND {{kept}} LIMIT {_FEW} + 1)"""
_RANKED = f"""(
    SELECT '{{kind}}' AS kind, {{shown}}, r.rank FROM (
        SELECT r.*, ts_rank(r.search, {_SOUGHT}) AS rank FROM (
            SELECT r.* FROM {{table}}_hits r
            WHERE (SELECT count(*) <= {_FEW} FROM {{table}}_hits) AND {{readable}}
            UNION ALL ({{walked}})) r
        ORDER BY rank DESC, {{column}} DESC, {{then}} DESC LIMIT {_EACH}) r {{joins}})"""
_MANY = f"(SELECT count(*) > {_FEW} FROM {{table}}_hits)"
_WALKED = f"""
    SELECT r.* FROM {{table}} r WHERE {_MANY} AND r.search @@ {_SOUGHT} AND {{kept}} AND {{readable}}
    ORDER BY r.{{column}} DESC, r.{{then}} DESC LIMIT {_ENOUGH}"""
# Compared by range, as in `functions.search.queries`.
_WALKED_WITHIN = f"""
    SELECT r.* FROM ({{scopes}} ORDER BY scope DESC) s CROSS JOIN LATERAL (
        SELECT r.* FROM {{table}} r
        WHERE r.{{column}} BETWEEN s.scope AND s.scope AND r.search @@ {_SOUGHT} AND {{kept}}
        ORDER BY r.{{column}} DESC, r.{{then}} DESC LIMIT {_ENOUGH}) r
    WHERE {_MANY} LIMIT {_ENOUGH}"""


@cache
def search_sql(*, everything: bool, project: bool, conversation: bool) -> str:
    """What has the words: of every project or the caller's, of one project, of one conversation."""
    projects = _THIS_PROJECT if project else "" if everything else _MY_PROJECTS
    sought = {"project": (_PROJECT_FOUND, projects, ""), "task": (_TASK_FOUND, projects, "")}
    if conversation or not project:
        sought["message"] = _MESSAGE_FOUND, _THIS_CONVERSATION if conversation else _MY_CONVERSATIONS, ""
    files = _FILES_OF.format(projects=projects) + ("" if project else f" UNION {_MY_FILES}") if projects else ""
    reads = _READS_FILE.format(
        personal="false" if project else _OWN_OR_SENT, shared=f"f.project_id IN ({projects})" if projects else "true"
    )
    sought["file"] = _PASSAGE, files, reads
    hits = ", ".join(_HITS.format(table=kind.table, kept=kind.kept) for kind, _, _ in sought.values())
    found = " UNION ALL ".join(_found(name, *how) for name, how in sought.items())
    return f"""
        WITH {hits} SELECT kind, id, title, left(text, {_TEXT}) AS text, media_type FROM ({found}) found
        ORDER BY rank DESC, id DESC LIMIT {MAX_SOURCES}"""


def _found(name: str, kind: _Kind, scopes: str, readable: str) -> str:
    how = {field: getattr(kind, field) for field in kind.__slots__} | {"kind": name, "scopes": scopes}
    how["readable"] = readable or (f"r.{kind.column} IN ({scopes})" if scopes else "true")
    return _RANKED.format(**how, walked=(_WALKED_WITHIN if scopes else _WALKED).format(**how))


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
        sql = search_sql(everything=params["all"], project=bool(project_id), conversation=bool(conversation_id))
        found += [source for source in map(_source, rows(session, sql, params)) if source.id not in seen]
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
