"""The rules of integrations: connecting, disconnecting, and what is asked of them. Nothing here calls a service."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from functions.integrations.operations import Operation
from functions.integrations.schemas import IntegrationConnect
from quintet.db.models.accounts import User
from quintet.db.models.integrations import Integration, IntegrationRecord, IntegrationRequest
from quintet.errors import BadRequest, Conflict, NotFound
from quintet.events.record import record, scope_of
from quintet.events.types import EventType
from quintet.identity.principal import Principal
from quintet.integrations.queue import request_message, send_after_commit, sync_message
from quintet.integrations.sealing import seal
from quintet.integrations.services import SERVICES, Service

MAX_OPEN_REQUESTS = 20
"""Of one integration, at the same time."""

CONNECT_AGAIN = {"rel": "connect", "href": "/integrations"}


class Connecting(NamedTuple):
    """An integration, and whether it is a new one."""

    integration: Integration
    new: bool


def connect(session: Session, caller: Principal, *, new: IntegrationConnect) -> Connecting:
    """The caller's integration of a service: with its key if it has one, else to be sent to the provider."""
    service = SERVICES[new.service]
    if service.provider and new.api_key is not None:
        raise BadRequest.at("/api_key", f"{service.title} is connected at the provider. Leave the key out.")
    if not service.provider and new.return_to is not None:
        raise BadRequest.at("/return_to", f"Nobody goes anywhere to connect {service.title}. Leave it out.")
    if not service.provider and new.api_key is None:
        raise BadRequest.at("/api_key", f"Send a key of {service.title}.")
    # One after the other, or two at once would both make one.
    session.execute(select(User.id).where(User.id == caller.user_id).with_for_update(key_share=True))
    integration = session.scalar(
        select(Integration)
        .where(
            Integration.user_id == caller.user_id,
            Integration.service == service.name,
            Integration.status != "disconnected",
        )
        .with_for_update(key_share=True)
    )
    is_new = integration is None
    if integration is None:
        integration = Integration(user_id=caller.user_id, service=service.name, status="pending")
        session.add(integration)
        session.flush()
    if new.api_key is not None:
        connected(session, integration, {"api_key": new.api_key})
    return Connecting(integration, is_new)


def connected(
    session: Session,
    integration: Integration,
    secrets: dict[str, str],
    *,
    scopes: tuple[str, ...] = (),
    expires_at: datetime | None = None,
) -> None:
    """The integration, which is locked, has these secrets from now on. Calls KMS, and no service."""
    service = SERVICES[integration.service]
    sealed = seal(secrets, integration_id=integration.id, user_id=integration.user_id)
    integration.sealed, integration.data_key, integration.key_id = sealed.sealed, sealed.data_key, sealed.key_id
    integration.token_version += 1
    integration.token_lease_until = None
    integration.status = "connected"
    integration.scopes, integration.expires_at = list(scopes), expires_at
    integration.connected_at = func.now()
    integration.error = None
    if service.syncs:
        _fetch_anew(session, integration)
    else:
        integration.stale_since = None
    integration.touch()
    _record(session, EventType.INTEGRATION_CONNECTED, integration)


def _fetch_anew(session: Session, integration: Integration) -> None:
    """Whose account it is at the service nobody knows: what is there is stale until it is seen again, and whoever
    fetches from the one before stores nothing more."""
    stale = update(IntegrationRecord).where(
        IntegrationRecord.integration_id == integration.id, IntegrationRecord.stale_since.is_(None)
    )
    session.execute(stale.values(stale_since=func.now()))
    integration.checkpoint = {"pass": (integration.checkpoint or {}).get("pass", 0)}
    integration.sync_run += 1
    integration.sync_lease_until, integration.wait_until, integration.sync_failures = None, None, 0
    integration.next_sync_at = integration.sync_sent_at = func.now()
    send_after_commit(session, sync_message(integration.id))


def disconnect(session: Session, caller: Principal, *, integration_id: UUID, expected: frozenset[int] | None) -> None:
    """Disconnect it: nothing is fetched or asked any more. Its event has the provider told, and the rest removed."""
    integration = _locked(session, caller, integration_id)
    integration.require_version(expected)
    integration.status = "disconnected"
    integration.next_sync_at = None
    integration.touch()
    _record(session, EventType.INTEGRATION_DISCONNECTED, integration)


def request_sync(session: Session, caller: Principal, *, integration_id: UUID) -> None:
    """Have what the service holds fetched now, unless that is being done; or once the service lets us again."""
    integration = _usable(session, caller, integration_id)
    if not SERVICES[integration.service].syncs:
        raise Conflict(f"{SERVICES[integration.service].title} holds nothing that is fetched.")
    # The dispatcher sends what has to wait.
    integration.next_sync_at = func.greatest(func.now(), Integration.wait_until)
    integration.sync_sent_at = func.now()
    integration.touch()
    send_after_commit(session, sync_message(integration.id))
    _record(session, EventType.INTEGRATION_SYNC_REQUESTED, integration)


def ask(session: Session, caller: Principal, *, integration_id: UUID, new: Operation) -> IntegrationRequest:
    """Have something asked of the service."""
    integration = _usable(session, caller, integration_id)
    service: Service = SERVICES[integration.service]
    if new.operation not in service.operations:
        there = ", ".join(f"`{name}`" for name in sorted(service.operations))
        raise BadRequest.at("/operation", f"{service.title} has the operations {there}.")
    open_ = select(func.count()).where(
        IntegrationRequest.integration_id == integration.id, IntegrationRequest.status.in_(("queued", "running"))
    )
    if session.scalars(open_).one() >= MAX_OPEN_REQUESTS:
        raise Conflict(f"{MAX_OPEN_REQUESTS} requests are under way, which is the most. Wait until one has ended.")
    request = IntegrationRequest(
        integration_id=integration.id, operation=new.operation, input=new.model_dump(exclude={"operation"})
    )
    session.add(request)
    session.flush()
    send_after_commit(session, request_message(request.id))
    data = {"integration_id": str(integration.id), "operation": request.operation}
    scope = scope_of("user", integration.user_id)
    record(session, EventType.INTEGRATION_REQUEST_CREATED, subject=request.id, scope=scope, data=data)
    return request


def _usable(session: Session, caller: Principal, integration_id: UUID) -> Integration:
    integration = _locked(session, caller, integration_id)
    title = SERVICES[integration.service].title
    if integration.status == "pending":
        raise Conflict(f"{title} is not connected yet: its owner has not come back from there.", next=CONNECT_AGAIN)
    if integration.status == "needs_reauth":
        raise Conflict(f"{title} has to be connected again: it does not let us in any more.", next=CONNECT_AGAIN)
    return integration


def _locked(session: Session, caller: Principal, integration_id: UUID) -> Integration:
    integration = session.scalar(
        select(Integration)
        .where(
            Integration.id == integration_id,
            Integration.user_id == caller.user_id,
            Integration.status != "disconnected",
        )
        .with_for_update(key_share=True)
    )
    if integration is None:
        raise NotFound
    return integration


def _record(session: Session, type: EventType, integration: Integration, **data: Any) -> None:
    data = {"service": integration.service, **data}
    record(session, type, subject=integration.id, scope=scope_of("user", integration.user_id), data=data)
