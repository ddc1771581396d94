"""After somebody has disconnected a service: the provider is told where it can be, and the rest removed."""

from uuid import UUID

from functions.integration_syncer.credentials import secrets_of
from quintet.db.reads import rows
from quintet.db.session import writing
from quintet.errors import NotFound
from quintet.events.consumer import Claimed
from quintet.events.record import record
from quintet.events.types import EventType
from quintet.integrations.services import SERVICES, Service
from quintet.oauth.providers import client_of
from quintet.oauth.tokens import ProviderFailed, ProviderRefused, revoke
from quintet.observability import logger

_REMOVE = "DELETE FROM integrations WHERE id = %(id)s AND status = 'disconnected' RETURNING id"


def revoke_and_remove(delivery: Claimed) -> str | None:
    """Have the provider forget the token, if it can be told, and remove the integration; what is to be noted of it.

    That is tried once: whoever disconnects does not want us to keep a token until the provider is well again.
    """
    assert delivery.subject_id is not None
    revoked = _revoke(SERVICES[delivery.data["service"]], delivery.subject_id)
    with writing() as session:
        if rows(session, _REMOVE, {"id": delivery.subject_id}):
            record(
                session,
                EventType.INTEGRATION_REVOKED,
                subject=delivery.subject_id,
                scope=delivery.scope,
                data={"service": delivery.data["service"], "revoked": revoked},
                actor_id=delivery.actor_id,
            )
    return None if revoked else "The provider was not told."


def _revoke(service: Service, integration_id: UUID) -> bool:
    if not service.provider:  # who has a key takes it back where it was made
        return False
    secrets = secrets_of(integration_id)
    if not secrets:
        return False
    try:
        # With either token the provider forgets both (RFC 7009, 2.1); GitHub knows access tokens alone.
        token = secrets["access_token"] if service.provider == "github" else secrets.get("refresh_token")
        revoke(client_of(service.provider), token or secrets["access_token"])
    except (ProviderFailed, ProviderRefused, NotFound) as error:
        logger.warning("A token could not be revoked.", service=service.name, why=str(error))
        return False
    return True
