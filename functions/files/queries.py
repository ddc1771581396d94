"""The SQL that folders and files share."""

from uuid import UUID

from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal


def visible(project_id: str) -> str:
    """SQL: the caller (`rights`) may see the project whose id this column is."""
    return f"""(%(all)s OR EXISTS (
        SELECT FROM project_members me WHERE me.project_id = {project_id} AND me.user_id = %(caller)s))"""


PROJECT_VISIBLE = f"EXISTS (SELECT FROM projects p WHERE p.id = %(project_id)s AND {visible('p.id')})"
"""SQL: there is this project, and the caller (`rights`) may see it."""


def rights(caller: Principal) -> dict[str, object]:
    """Parameters: who asks, and whether they may see every project."""
    return {"caller": caller.user_id, "all": caller.can(Permission.PROJECTS_READ_ALL)}


def inside(folder: str, wanted: UUID | str | None) -> dict[str, object]:
    """Parameters of a filter by the folder something is in: that one, none when `root` is wanted (`top`), or any."""
    return {folder: None if wanted == "root" else wanted, "top": wanted == "root"}
