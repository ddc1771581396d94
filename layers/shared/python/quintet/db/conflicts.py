"""Constraints that refuse what somebody else was quicker to do: the database decides, so no check can be raced.

Services just write; `quintet.http` answers the violation with the conflict that stands here.
"""

from sqlalchemy.exc import IntegrityError

from quintet.errors import Conflict, FieldError

_TAKEN = {
    "uq_users_email": FieldError("/email", "There is an account with this address."),
    "uq_users_username": FieldError("/username", "There is an account with this username."),
    "uq_roles_name": FieldError("/name", "There is a role with this name."),
    "uq_divisions_name": FieldError("/name", "There is a division with this name."),
    "uq_folders_project_id_parent_id_name": FieldError("/name", "There is a folder with this name in the same place."),
    "uq_agents_email": FieldError("/email", "There is an agent with this address."),
    "uq_agents_user_id": FieldError("/user_id", "There is an agent linked to this account."),
}
"""Unique constraint -> the field that is to be changed."""

_REFERRED_TO = {"23001", "23503"}
"""restrict_violation (PostgreSQL 18 and later) and foreign_key_violation."""


def conflict_of(error: IntegrityError) -> Conflict | None:
    """The 409 that a violated constraint means; None for one that only a mistake of ours violates."""
    violation = getattr(error.orig, "diag", None)
    if violation is None:
        return None
    if taken := _TAKEN.get(violation.constraint_name or ""):
        return Conflict(taken.detail, errors=[taken])
    if violation.sqlstate in _REFERRED_TO:
        return Conflict("Something that this depends on, or that depends on it, has changed just now. Try again.")
    return None
