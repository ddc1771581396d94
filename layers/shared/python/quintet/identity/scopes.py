"""Who reads which events: an event has one scope, and whoever takes part in that may read it.

A course has two: those who take it do not learn who else does, which is in its `roster`.

The same rule from three sides, all SQL: the scopes of the caller (`%(caller)s`), whether the caller may read one, and
the readers of one. Permissions to read everything come on top, and only for who asks for it.
"""

from uuid import UUID

from quintet.identity.campaigns import OWN_AGENT, there_is, visible
from quintet.identity.conversations import is_member
from quintet.identity.courses import owned, takes_part

CONVERSATIONS = """
    SELECT 'conversation:' || conversation_id AS scope FROM conversation_members WHERE user_id = %(caller)s"""

PUBLIC = "NOT starts_with(scope, 'conversation:') AND subject_type NOT IN ('conversation', 'message')"
"""What permissions to read everything are about: not what happens in other people's conversations, of which something
is told in members' own scopes too. Word for word as the indexes of events have it."""

OWN = "SELECT 'user:' || %(caller)s::text AS scope"

MINE = f"""
    {OWN} UNION ALL {CONVERSATIONS}
    UNION ALL SELECT 'project:' || project_id FROM project_members WHERE user_id = %(caller)s
    UNION ALL SELECT 'campaign:' || campaign_id FROM (
        SELECT id AS campaign_id FROM campaigns WHERE created_by = %(caller)s
        UNION SELECT campaign_id FROM campaign_assignments WHERE agent_id = {OWN_AGENT}) mine
    UNION ALL SELECT 'course:' || course_id FROM (
        SELECT id AS course_id FROM courses WHERE created_by = %(caller)s
        UNION SELECT course_id FROM enrollments WHERE user_id = %(caller)s) mine
    UNION ALL SELECT 'roster:' || id FROM courses WHERE created_by = %(caller)s"""
"""The scopes the caller takes part in."""

READABLE = {
    "user": "%(scope_id)s::uuid = %(caller)s",
    "project": """(
        EXISTS (SELECT FROM project_members WHERE project_id = %(scope_id)s AND user_id = %(caller)s)
        OR %(reads_projects)s AND EXISTS (SELECT FROM projects WHERE id = %(scope_id)s))""",
    "campaign": there_is("%(scope_id)s", visible("c")),
    "conversation": is_member("%(scope_id)s"),
    "course": f"EXISTS (SELECT FROM courses c WHERE c.id = %(scope_id)s AND {takes_part('c')})",
    "roster": f"EXISTS (SELECT FROM courses c WHERE c.id = %(scope_id)s AND {owned('c')})",
}
"""Kind of scope -> whether the caller may read the one with the id `%(scope_id)s`."""


def readers(kind: str, id: str) -> str:
    """SQL: `user_id` of those who take part in a scope, each once. `kind` and `id` are SQL for the two parts of it."""
    return f"""
    SELECT {id} AS user_id WHERE {kind} = 'user'
    UNION ALL SELECT user_id FROM conversation_members
    WHERE {kind} = 'conversation' AND conversation_id = {id}
    UNION ALL SELECT user_id FROM project_members WHERE {kind} = 'project' AND project_id = {id}
    UNION ALL SELECT user_id FROM (
        SELECT created_by AS user_id FROM campaigns WHERE id = {id}
        UNION SELECT g.user_id FROM campaign_assignments a JOIN agents g ON g.id = a.agent_id
        WHERE a.campaign_id = {id}) campaign
    WHERE {kind} = 'campaign' AND user_id IS NOT NULL
    UNION ALL SELECT user_id FROM (
        SELECT created_by AS user_id FROM courses WHERE id = {id}
        UNION SELECT user_id FROM enrollments WHERE course_id = {id}) course
    WHERE {kind} = 'course'
    UNION ALL SELECT created_by FROM courses WHERE {kind} = 'roster' AND id = {id}"""


READERS = readers("%(scope_kind)s", "%(scope_id)s::uuid")
"""Those who take part in one scope; its parameters are `parts`."""


def is_public(type: str, scope: str) -> bool:
    """Whether `PUBLIC` is true of an event."""
    return not scope.startswith("conversation:") and type.partition(".")[0] not in ("conversation", "message")


def parts(scope: str) -> dict[str, str | UUID | None]:
    """The parameters `scope_kind` and `scope_id` of a scope: `project:ID`, ..., or `system`, which has no id."""
    kind, _, id = scope.partition(":")
    return {"scope_kind": kind, "scope_id": UUID(id) if id else None}
