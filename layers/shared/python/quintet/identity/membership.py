"""What a member of a project may do there."""

from typing import Any

from sqlalchemy import Select, text

from quintet.errors import Forbidden, NotFound
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal

RANK = {"viewer": 0, "editor": 1, "owner": 2}


def require_role(caller: Principal, role: str | None, *, at_least: str) -> None:
    """404 unless the caller may see a project where they have `role`; 403 unless they are `at_least` that there."""
    if caller.can(Permission.PROJECTS_MANAGE_ALL):
        return
    if caller.can(Permission.PROJECTS_READ_ALL):
        role = role or "viewer"
    if role is None:
        raise NotFound
    if RANK[role] < RANK[at_least]:
        raise Forbidden(f"This needs the role {at_least} in the project.")


def with_role(projects: Select[*tuple[Any, ...]], caller: Principal, **lock: bool) -> Select[*tuple[Any, ...]]:
    """`projects` with the caller's `role` in each, both locked: who is removed or demoted meanwhile changes nothing.

    Those where they have none are left out, unless they may see every project. `lock` is how projects are.
    """
    from quintet.db.models.projects import Project, ProjectMember  # 40 ms, which readers do without

    sees_all = caller.can(Permission.PROJECTS_READ_ALL) or caller.can(Permission.PROJECTS_MANAGE_ALL)
    own = (ProjectMember.project_id == Project.id) & (ProjectMember.user_id == caller.user_id)
    found = projects.add_columns(ProjectMember.role).join(ProjectMember, own, isouter=sees_all)
    found = found.with_for_update(of=Project, **lock)
    return found if sees_all else found.suffix_with(text("FOR SHARE OF project_members"))
