"""HTTP of webhooks."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request
from starlette.responses import Response

from functions.webhooks import queries, service
from functions.webhooks.schemas import (
    DeliveryRead,
    SecretRotated,
    WebhookCreate,
    WebhookCreated,
    WebhookRead,
    WebhookUpdate,
)
from quintet.db.models.webhooks import DeliveryStatus, WebhookDelivery
from quintet.http.answers import changed, created, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Paging, SessionDep, rate_limit
from quintet.http.idempotency import Idempotent
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/webhooks", tags=["webhooks"])


async def _sparingly(request: Request, session: SessionDep, caller: Caller) -> None:
    """Nobody hammers a receiver by hand."""
    rate_limit(request, session, "webhook", account=str(caller.user_id))


_SENDS = [Depends(_sparingly), Idempotent]


@router.get("", response_model=Page[WebhookRead])
async def list_webhooks(session: SessionDep, caller: Caller, paging: Paging) -> Response:
    """List the caller's webhooks, newest first."""
    return listed(queries.list_webhooks(session, caller, paging))


@router.post("", status_code=201, response_model=WebhookCreated, dependencies=[Idempotent], responses=responses(409))
async def create_webhook(request: Request, session: SessionDep, caller: Caller, new: WebhookCreate) -> Response:
    """Have events sent to an address. The answer holds the secret that signs them, this once."""
    webhook = service.create_webhook(session, caller, new=new)
    read = WebhookRead.model_validate(webhook).model_dump()
    body = WebhookCreated(**read, secret=service.shown(webhook.secret))
    return created(request, body, f"/webhooks/{webhook.id}")


@router.get("/{webhook_id}", response_model=WebhookRead)
async def read_webhook(request: Request, session: SessionDep, caller: Caller, webhook_id: UUID) -> Response:
    """Read one webhook."""
    return fresh(request, queries.read_webhook(session, caller, webhook_id))


@router.change("/{webhook_id}", response_model=WebhookRead)
async def update_webhook(
    session: SessionDep, caller: Caller, webhook_id: UUID, change: WebhookUpdate, expected: IfMatch
) -> Response:
    """Change the fields sent; `status` pauses and resumes."""
    webhook = service.update_webhook(session, caller, webhook_id=webhook_id, change=change, expected=expected)
    return changed(WebhookRead.model_validate(webhook))


@router.delete("/{webhook_id}", status_code=204)
async def delete_webhook(session: SessionDep, caller: Caller, webhook_id: UUID, expected: IfMatch) -> Response:
    """Delete a webhook: nothing is sent there any more."""
    service.remove_webhook(session, caller, webhook_id=webhook_id, expected=expected)
    return Response(status_code=204)


@router.post("/{webhook_id}/rotate-secret", response_model=SecretRotated, dependencies=[Idempotent])
async def rotate_secret(session: SessionDep, caller: Caller, webhook_id: UUID, expected: IfMatch) -> Response:
    """Give a webhook a new secret. For a day messages carry a signature by the former one too."""
    webhook = service.rotate_secret(session, caller, webhook_id=webhook_id, expected=expected)
    return changed(
        SecretRotated(
            secret=service.shown(webhook.secret),
            former_secret_until=webhook.former_secret_until,
            version=webhook.version,
        )
    )


@router.post(
    "/{webhook_id}/test",
    status_code=202,
    response_model=DeliveryRead,
    dependencies=_SENDS,
    responses=responses(409, 429),
)
async def send_test(session: SessionDep, caller: Caller, webhook_id: UUID) -> Response:
    """Send an event of the type `webhook.test`, to see it arrive."""
    return _accepted(service.send_test(session, caller, webhook_id=webhook_id))


@router.get("/{webhook_id}/deliveries", response_model=Page[DeliveryRead])
async def list_deliveries(
    session: SessionDep,
    caller: Caller,
    webhook_id: UUID,
    paging: Paging,
    status: Annotated[DeliveryStatus | None, Query(description="Only those.")] = None,
) -> Response:
    """List what was sent in the last 30 days, newest first, and what became of it."""
    return listed(queries.list_deliveries(session, caller, webhook_id, paging, status=status))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    status_code=202,
    response_model=DeliveryRead,
    dependencies=_SENDS,
    responses=responses(409, 429),
)
async def redeliver(session: SessionDep, caller: Caller, webhook_id: UUID, delivery_id: UUID) -> Response:
    """Send an event again, whether it arrived or was given up."""
    return _accepted(service.redeliver(session, caller, webhook_id=webhook_id, delivery_id=delivery_id))


def _accepted(delivery: WebhookDelivery) -> Response:
    response = changed(DeliveryRead.model_validate(delivery))
    response.status_code = 202
    return response
