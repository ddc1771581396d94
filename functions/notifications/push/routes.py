"""HTTP of push subscriptions."""

from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from functions.notifications.push import service
from functions.notifications.push.schemas import PushKey, PushSubscriptionCreate, PushSubscriptionRead
from quintet.http.answers import changed, created, listed
from quintet.http.dependencies import Caller, Paging, SessionDep
from quintet.http.idempotency import Idempotent
from quintet.http.routing import Router
from quintet.http.schemas import Page
from quintet.notifications.push import public_key

router = Router(prefix="/notifications", tags=["notifications"])


@router.get("/push-key", response_model=PushKey)
async def read_push_key(caller: Caller) -> Response:
    """Read the key that a browser subscribes to. It stays the same."""
    return changed(PushKey(public_key=public_key()))


@router.get("/push-subscriptions", response_model=Page[PushSubscriptionRead])
async def list_push_subscriptions(session: SessionDep, caller: Caller, paging: Paging) -> Response:
    """List the browsers that are pushed to what the caller is told of, newest first."""
    return listed(service.list_subscriptions(session, caller, paging))


@router.post("/push-subscriptions", status_code=201, response_model=PushSubscriptionRead, dependencies=[Idempotent])
async def create_push_subscription(
    request: Request, session: SessionDep, caller: Caller, new: PushSubscriptionCreate
) -> Response:
    """Push what the caller is told of to this browser, until they sign out there. May be repeated."""
    made = service.subscribe(session, caller, new=new)
    return created(request, made, "/notifications/push-subscriptions")


@router.delete("/push-subscriptions/{push_subscription_id}", status_code=204)
async def remove_push_subscription(session: SessionDep, caller: Caller, push_subscription_id: UUID) -> Response:
    """Push no more to this browser."""
    service.unsubscribe(session, caller, subscription_id=push_subscription_id)
    return Response(status_code=204)
