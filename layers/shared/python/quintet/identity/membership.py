"""What a member of a project may do there."""

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
