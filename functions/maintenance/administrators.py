"""The first administrator. No route makes one: only somebody who may invoke this function in the account can."""

from sqlalchemy import literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from quintet.db.models.accounts import Role, User, UserRole
from quintet.db.session import writing
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.permissions import ADMIN
from quintet.observability import logger


def appoint(email: str) -> str:
    """Make the account of `email` an administrator's; answers what was done, or why not, for whoever asked.

    Only an address that its owner has confirmed: anybody may register with any other.
    """
    with writing(owner=True) as session:
        user = session.scalar(select(User).where(User.email == email).with_for_update())
        if user is None:
            return f"{email} has no account: register first."
        if user.status != "active":
            return f"The account of {email} is disabled."
        if user.email_verified_at is None:
            return f"{email} is not confirmed: open the link that was mailed there first."
        if not promote(session, user):
            return f"{email} is an administrator already."
        logger.warning("An administrator was appointed.", user_id=str(user.id))
        return f"{email} is an administrator now."


def promote(session: Session, user: User) -> bool:
    """Give this account the role of administrators, as the API would; answers whether it was new to it."""
    role = select(literal(user.id), Role.id).where(Role.name == ADMIN)
    given = insert(UserRole).from_select(["user_id", "role_id"], role).on_conflict_do_nothing()
    if not session.scalars(given.returning(UserRole.role_id)).all():
        return False
    user.touch()
    record(
        session,
        EventType.ACCOUNT_ROLES_CHANGED,
        subject=user.id,
        scope=scope_of("user", user.id),
        data={"given": [ADMIN], "taken": []},
    )
    return True
