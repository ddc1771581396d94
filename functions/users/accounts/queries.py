"""The SQL of accounts."""

from uuid import UUID

from sqlalchemy.orm import Session

from functions.users.accounts.schemas import UserRead
from quintet.db.json import Versioned, columns_of, one, page
from quintet.db.models import every_table
from quintet.identity.permissions import Permission
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

_ROLES = """ARRAY(
    SELECT r.name FROM user_roles ur JOIN roles r ON r.id = ur.role_id WHERE ur.user_id = u.id ORDER BY r.name)"""

_DIVISIONS = """(
    SELECT coalesce(json_agg(json_build_object('id', d.id, 'name', d.name) ORDER BY d.name), '[]')
    FROM user_divisions ud JOIN divisions d ON d.id = ud.division_id WHERE ud.user_id = u.id)"""

_COLUMNS = columns_of(
    UserRead, "u", email_verified="u.email_verified_at IS NOT NULL", roles=_ROLES, divisions=_DIVISIONS
)

_FILTERS = {
    "q": "(lower(u.full_name) ^@ lower(%(q)s) OR lower(u.email::text) ^@ lower(%(q)s))",
    "status": "u.status = %(status)s",
    "role": """u.id IN (
        SELECT user_id FROM user_roles WHERE role_id = (SELECT id FROM roles WHERE name = %(role)s))""",
    "division": "u.id IN (SELECT user_id FROM user_divisions WHERE division_id = %(division)s)",
}
"""Only those asked for get into the statement: a subquery behind an OR would be no join for the planner."""


def list_users(
    session: Session,
    caller: Principal,
    paging: PageRequest,
    *,
    q: str | None,
    role: str | None,
    status: str | None,
    division: UUID | None,
) -> bytes:
    """A page of all accounts; `q` is how the name or the address begins."""
    caller.require(Permission.USERS_READ)
    params = {"q": q, "role": role, "status": status, "division": division}
    filters = " AND ".join(["u.id < %(before)s", *(sql for name, sql in _FILTERS.items() if params[name] is not None)])
    return page(session, f"SELECT {_COLUMNS} FROM users u WHERE {filters}", params, paging)


def read_user(session: Session, user_id: UUID) -> Versioned:
    """One account; 404 when there is none."""
    return one(session, f"SELECT {_COLUMNS} FROM users u WHERE u.id = %(id)s", {"id": user_id})


def references_to(session: Session, user_id: UUID) -> dict[str, int]:
    """How many rows of which table keep the account from being removed."""
    counts = " UNION ALL ".join(
        f"SELECT '{table.name}' AS kind, count(*) AS n FROM {table.name} WHERE {column.name} = %(id)s"
        for table in every_table().sorted_tables
        for column in table.columns
        for key in column.foreign_keys
        if key.column.table.name == "users" and key.ondelete == "RESTRICT"
    )
    rows = session.connection().exec_driver_sql(counts, {"id": user_id})
    return {row.kind: row.n for row in rows if row.n}
