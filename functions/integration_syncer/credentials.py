"""The tokens and keys that services are called with, renewed before they expire: by one at a time, without a session
held while the provider is asked.

A provider may forget the refresh token it was asked with: between its answer and our commit nobody is called who can
fail, and the commit is tried again for a while.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from functions.integration_syncer.insisting import insist
from functions.integration_syncer.troubles import Lost, NeedsReauth, Outage
from quintet.db.reads import rows
from quintet.db.session import reading, writing
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.integrations.sealing import DataKey, new_key, unseal
from quintet.integrations.services import SERVICES
from quintet.oauth.providers import client_of
from quintet.oauth.tokens import ProviderFailed, ProviderRefused, Tokens, refresh

MARGIN = timedelta(minutes=5)
"""So long before it expires a token is renewed."""
LEASE_SECONDS = 60
"""For the one who renews it: more than the provider is waited for, and the commit tried."""
WAIT_SECONDS = 10
"""For the others, who come again from the queue after that."""

_LOOK_SECONDS = 0.2
_READ = """
    SELECT id, user_id, service, status, sealed, data_key, key_id, token_version, expires_at,
           token_lease_until > now() AS is_renewed
    FROM integrations WHERE id = %(id)s"""

_CLAIM = """
    UPDATE integrations SET token_lease_until = now() + make_interval(secs => %(lease)s)
    WHERE id = %(id)s AND token_version = %(version)s AND status = 'connected'
      AND (token_lease_until IS NULL OR token_lease_until <= now())
    RETURNING id"""

_RENEWED = """
    UPDATE integrations
    SET sealed = %(sealed)s, data_key = %(data_key)s, key_id = %(key_id)s, expires_at = %(expires_at)s,
        token_version = token_version + 1, token_lease_until = NULL
    WHERE id = %(id)s AND token_version = %(version)s AND status = 'connected' RETURNING token_version"""

_RELEASE = """
    UPDATE integrations SET token_lease_until = NULL WHERE id = %(id)s AND token_version = %(version)s RETURNING id"""

_REFUSED = """
    UPDATE integrations
    SET status = 'needs_reauth', error = %(error)s, token_lease_until = NULL, next_sync_at = NULL,
        sync_status = CASE WHEN sync_status = 'running' THEN 'error' ELSE sync_status END, sync_lease_until = NULL,
        stale_since = coalesce(stale_since, now()), version = version + 1, updated_at = now()
    WHERE id = %(id)s AND token_version = %(version)s AND status = 'connected' RETURNING id"""


@dataclass(frozen=True, slots=True)
class Token:
    """What a service is called with, and which of an integration's tokens it is."""

    value: str = field(repr=False)
    version: int
    expires_at: datetime | None

    @property
    def fresh(self) -> bool:
        """Whether it need not be renewed yet."""
        return self.expires_at is None or self.expires_at > datetime.now(UTC) + MARGIN


def current(integration_id: UUID) -> Token:
    """The integration's token or key, renewed if it is about to expire. Raises NeedsReauth, Lost or Outage."""
    row = _row(integration_id)
    token = _token(row)
    if token.fresh:
        return token
    try:
        return _renewed(row)
    except Outage:
        if row.expires_at <= datetime.now(UTC):
            raise
        return token  # which is good for minutes yet


def after_refusal(integration_id: UUID, refused: Token) -> Token:
    """Another token than the one that the service does not take. Raises NeedsReauth when there is none."""
    row = _row(integration_id)
    if row.token_version != refused.version:
        return _token(row)  # somebody has renewed it meanwhile
    return _renewed(row)


def give_up(integration_id: UUID, refused: Token) -> NeedsReauth:
    """Note down that the integration has to be connected again, if it still has this token; to be raised."""
    row = _row(integration_id)
    if row.token_version == refused.version:
        _needs_reauth(row)
    return _reauth(row)


def secrets_of(integration_id: UUID) -> dict[str, str]:
    """All that is sealed, whatever the integration's status; nothing when nothing is. Calls KMS."""
    with reading() as session:
        found = rows(session, _READ, {"id": integration_id})
    return _secrets(found[0]) if found and found[0].sealed is not None else {}


def _row(integration_id: UUID) -> Any:
    with reading() as session:
        found = rows(session, _READ, {"id": integration_id})
    if not found or found[0].status in ("disconnected", "pending"):
        raise Lost
    [row] = found
    if row.status == "needs_reauth":
        raise _reauth(row)
    return row


def _secrets(row: Any) -> dict[str, str]:
    return unseal(row, integration_id=row.id, user_id=row.user_id)


def _token(row: Any) -> Token:
    secrets = _secrets(row)
    return Token(secrets.get("access_token") or secrets["api_key"], row.token_version, row.expires_at)


def _renewed(row: Any) -> Token:
    """Renew the token of `row`, or wait for whoever does."""
    secrets = _secrets(row)
    if "refresh_token" not in secrets:
        _needs_reauth(row)
        raise _reauth(row)
    data_key = new_key(integration_id=row.id, user_id=row.user_id)
    key = {"id": row.id, "version": row.token_version}
    with reading() as session:
        claimed = rows(session, _CLAIM, {**key, "lease": LEASE_SECONDS})
    if not claimed:
        return _wait_for_another(row)
    title = SERVICES[row.service].title
    try:
        tokens = refresh(client_of(SERVICES[row.service].provider), secrets["refresh_token"])
    except ProviderRefused as refused:
        if refused.error not in ("invalid_grant", "bad_refresh_token"):  # it is us whom it does not want
            _release(key)
            raise Outage(f"{title} does not renew its token.", again_in=600, begun=False) from refused
        _needs_reauth(row)
        raise _reauth(row) from None
    except ProviderFailed as failed:
        _release(key)
        detail, again_in = f"{title} does not renew its token at the moment.", failed.retry_after or 60
        raise Outage(detail, again_in=again_in, begun=False) from failed
    insist(lambda: _store(row, data_key, secrets, tokens))
    return Token(tokens.access_token, row.token_version + 1, tokens.expires_at)


def _wait_for_another(row: Any) -> Token:
    """The token that somebody else is getting."""
    until, is_renewed = time.monotonic() + WAIT_SECONDS, True
    while is_renewed and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
        now = _row(row.id)
        if now.token_version != row.token_version:
            return _token(now)
        is_renewed = now.is_renewed
    raise Outage("Its token is being renewed.", again_in=10, begun=False)


def _store(row: Any, data_key: DataKey, secrets: dict[str, str], tokens: Tokens) -> None:
    kept = {**secrets, "access_token": tokens.access_token}
    if tokens.refresh_token:
        kept["refresh_token"] = tokens.refresh_token
    sealed = data_key.seal(kept)
    params = {
        "id": row.id,
        "version": row.token_version,
        "sealed": sealed.sealed,
        "data_key": sealed.data_key,
        "key_id": sealed.key_id,
        "expires_at": tokens.expires_at,
    }
    with reading() as session:
        if not rows(session, _RENEWED, params):
            raise Lost  # it was connected again meanwhile, or disconnected


def _release(key: dict[str, Any]) -> None:
    with reading() as session:
        rows(session, _RELEASE, key)


def _needs_reauth(row: Any) -> None:
    with writing() as session:
        mark(session, row)


def mark(session: Session, row: Any) -> None:
    """Note down, once, that the provider does not take the token of this version any more."""
    error = f"{SERVICES[row.service].title} does not let us in any more. Connect it again."
    if rows(session, _REFUSED, {"id": row.id, "version": row.token_version, "error": error}):
        scope, data = scope_of("user", row.user_id), {"service": row.service}
        record(
            session, EventType.INTEGRATION_NEEDS_REAUTH, subject=row.id, scope=scope, data=data, actor_id=row.user_id
        )


def _reauth(row: Any) -> NeedsReauth:
    return NeedsReauth(f"{SERVICES[row.service].title} has to be connected again.")
