"""What can be found, as data: one row for each way by which the caller may read things of a kind.

In SQL `r` is the thing's row. A kind that can be read in two
ways has two sources, which have no thing in common. What they find is what the kind's own list has.
"""

from dataclasses import dataclass

from functions.search.schemas import Kind
from quintet.identity.campaigns import OWN_AGENT
from quintet.identity.permissions import Permission

_MY_PROJECTS = "SELECT project_id AS scope FROM project_members WHERE user_id = %(caller)s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Things of one kind, all of a table's or some, and who may read them."""

    kind: Kind
    table: str
    scopes: str = ""
    """SQL: what the caller takes part in, as a column `scope`; without, things of the kind are everybody's to see."""
    column: str = ""
    """Where a thing says which scope it lies in. An index begins with that, and goes on with the id."""
    sees_all: Permission | None = None
    all: str = "true"
    """SQL: which things who has that permission finds by this source, wherever they lie."""
    more: str = "true"
    """SQL: what else is true of things that others find by this source."""
    kept: str = "true"
    """SQL: the thing is one to be found at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a thing is shown that was found."""

    table: str
    title: str
    texts: str
    """SQL: the columns that its words are in, the one to show first if it has some of them."""
    path: str
    joins: str = ""


SHOWN: dict[Kind, Shown] = {
    "project": Shown(table="projects", title="r.title", texts="r.description, r.title", path="/projects/"),
    "task": Shown(table="tasks", title="r.title", texts="r.description, r.title", path="/tasks/"),
    "message": Shown(
        table="messages",
        title="coalesce(c.title, u.full_name)",
        texts="r.text",
        path="/messages/",
        joins="JOIN conversations c ON c.id = r.conversation_id JOIN users u ON u.id = r.sender_id",
    ),
    "file": Shown(table="files", title="r.file_name", texts="r.file_name", path="/files/"),
    "contact": Shown(
        table="contacts",
        title="coalesce(r.full_name, r.email, r.phone)",
        texts="concat_ws(' · ', r.full_name, r.email, r.phone, r.external_id)",
        path="/contacts/",
    ),
    "course": Shown(table="courses", title="r.title", texts="r.description, r.title", path="/courses/"),
}

SOURCES: tuple[Source, ...] = (
    Source(
        kind="project",
        table="projects",
        scopes=_MY_PROJECTS,
        column="id",
        sees_all=Permission.PROJECTS_READ_ALL,
        kept="r.status <> 'archived'",
    ),
    Source(
        kind="task",
        table="tasks",
        scopes=_MY_PROJECTS,
        column="project_id",
        sees_all=Permission.PROJECTS_READ_ALL,
    ),
    Source(
        kind="message",
        table="messages",
        scopes="SELECT conversation_id AS scope FROM conversation_members WHERE user_id = %(caller)s",
        column="conversation_id",
        kept="r.deleted_at IS NULL",
    ),
    Source(
        kind="file",
        table="files",
        scopes="SELECT %(caller)s::uuid AS scope",
        column="owner_id",
        more="r.project_id IS NULL",
    ),
    Source(
        kind="file",
        table="files",
        scopes=_MY_PROJECTS,
        column="project_id",
        sees_all=Permission.PROJECTS_READ_ALL,
        all="r.project_id IS NOT NULL",
    ),
    Source(
        kind="contact",
        table="contacts",
        scopes="SELECT id AS scope FROM campaigns WHERE created_by = %(caller)s",
        column="campaign_id",
        sees_all=Permission.CAMPAIGNS_MANAGE_ALL,
    ),
    Source(  # an agent's own, in campaigns that are not theirs
        kind="contact",
        table="contacts",
        scopes=f"""SELECT a.campaign_id AS scope FROM campaign_assignments a JOIN campaigns c ON c.id = a.campaign_id
            WHERE a.agent_id = {OWN_AGENT} AND c.created_by <> %(caller)s""",
        column="campaign_id",
        more=f"r.agent_id = {OWN_AGENT}",
        sees_all=Permission.CAMPAIGNS_MANAGE_ALL,
        all="false",  # the other source has them
    ),
    Source(
        kind="course",
        table="courses",
        more="r.status = 'published'",
        sees_all=Permission.COURSES_MANAGE_ALL,
        kept="r.status <> 'archived'",
    ),
    Source(  # drafts
        kind="course",
        table="courses",
        scopes="""SELECT id AS scope FROM courses WHERE created_by = %(caller)s
            UNION SELECT course_id FROM enrollments WHERE user_id = %(caller)s""",
        column="id",
        more="r.status <> 'published'",
        sees_all=Permission.COURSES_MANAGE_ALL,
        all="false",
        kept="r.status <> 'archived'",
    ),
)
