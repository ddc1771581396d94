"""`python -m infra.local.admin EMAIL` (`make admin EMAIL=...`): makes somebody an administrator of the stand that runs.

Whoever has no account yet gets one, and a link to set its password. On AWS `maintenance` does it, for an account
whose address is confirmed: docs/operations.md.
"""

import os
import sys
from urllib.parse import urlencode

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from functions.email_sender.emails import EMAILS
from functions.maintenance.administrators import promote
from infra.local.state import LocalError, State
from quintet.config import settings
from quintet.db.models.accounts import Role, User, UserRole
from quintet.db.session import writing
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.http.schemas import Email
from quintet.identity.one_time_tokens import mint
from quintet.identity.permissions import ADMIN, NEWCOMER


def make_admin(session: Session, email: str) -> str:
    """Give `email` the role of administrators; answers what was done, for the person at the terminal."""
    user = session.scalar(select(User).where(User.email == email).with_for_update())
    if user is None:
        return _invite(session, email)
    if user.status != "active":
        raise LocalError(f"The account of {user.email} is disabled.")
    if not promote(session, user):
        return f"{user.email} is an administrator already."
    return f"{user.email} is an administrator now."


def _invite(session: Session, email: str) -> str:
    user = User(email=email, full_name=email.partition("@")[0])
    session.add(user)
    session.flush()
    roles = [ADMIN, NEWCOMER]
    held = select(literal(user.id), Role.id).where(Role.name.in_(roles))
    session.execute(insert(UserRole).from_select(["user_id", "role_id"], held))
    # As the users service records it.
    about = {"roles": roles, "invited": True}
    record(session, EventType.ACCOUNT_CREATED, subject=user.id, scope=scope_of("user", user.id), data=about)
    link = EMAILS[EventType.ACCOUNT_CREATED].link
    assert link is not None
    token = mint(session, user_id=user.id, email=user.email, purpose=link.purpose, lifetime=link.lifetime)
    url = f"{settings().api_url}{link.path}?{urlencode({'token': token})}"
    return f"{user.email} has an account now, as an administrator. Set its password here, once:\n\n  {url}\n"


def main(arguments: list[str]) -> int:
    """Do it on the stand that runs; answers the exit code."""
    try:
        if len(arguments) != 1:
            raise LocalError("Whom? make admin EMAIL=you@example.com")
        email: str = TypeAdapter(Email).validate_python(arguments[0])
        running = State().running()
        if running is None:
            raise LocalError("No stand runs here. Start it with: make run")
        os.environ.update(running.environment)
        settings.cache_clear()
        with writing() as session:
            said = make_admin(session, email)
    except ValidationError:
        print(f"{arguments[0]!r} is not an email address.", file=sys.stderr)
    except LocalError as error:
        print(error, file=sys.stderr)
    except SQLAlchemyError as error:
        print(
            f"The stand's database does not take it: {error.__class__.__name__}. Is it still starting?", file=sys.stderr
        )
    else:
        print(said)
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
