"""The SQL of linked identities."""

from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy.orm import Session

from functions.auth.oauth.schemas import IdentityRead
from functions.auth.queries import Account
from quintet.db.json import columns_of, page
from quintet.db.reads import rows
from quintet.identity.principal import Principal
from quintet.pagination import PageRequest

if TYPE_CHECKING:
    from functions.auth.oauth.people import Person

_IDENTITIES = f"""
    SELECT {columns_of(IdentityRead, "i")} FROM oauth_identities i
    WHERE i.user_id = %(caller)s AND i.unlinked_at IS NULL AND i.id < %(before)s"""

# The account is locked before its identity, as where an identity is linked: no deadlock.
_ARRIVE = """
    WITH account AS (
        SELECT u.id, u.password_hash, i.id AS identity_id FROM oauth_identities i JOIN users u ON u.id = i.user_id
        WHERE i.provider = %(provider)s AND i.subject = %(subject)s AND i.unlinked_at IS NULL FOR SHARE OF u
    )
    UPDATE oauth_identities i SET email = coalesce(%(email)s, i.email), last_used_at = now()
    FROM account WHERE i.id = account.identity_id AND i.unlinked_at IS NULL
    RETURNING account.id, account.password_hash"""

_FORGET_UNLINKED = """
    DELETE FROM oauth_identities WHERE provider = %(provider)s AND subject = %(subject)s AND unlinked_at IS NOT NULL
    RETURNING user_id"""


def list_identities(session: Session, caller: Principal, paging: PageRequest) -> bytes:
    """A page of the caller's linked identities, the newest first."""
    return page(session, _IDENTITIES, {"caller": caller.user_id}, paging)


def arrive(session: Session, provider: str, person: "Person") -> Account | None:
    """The account this identity signs in to; what the provider says of it now is kept."""
    found = rows(session, _ARRIVE, {"provider": provider, "subject": person.subject, "email": person.email})
    return Account(*found[0]) if found else None


def forget_unlinked(session: Session, provider: str, person: "Person") -> UUID | None:
    """Have it forgotten that this identity was unlinked, if it was; the account that it was unlinked from."""
    found = rows(session, _FORGET_UNLINKED, {"provider": provider, "subject": person.subject})
    return found[0].user_id if found else None
