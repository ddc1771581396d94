"""HTTP of integrations."""

import json
from typing import Annotated
from uuid import UUID

from fastapi import Body, Depends, Query, Request
from starlette.responses import Response

from functions.integrations import authorizing, queries, service
from functions.integrations.operations import RequestCreate
from functions.integrations.schemas import (
    IntegrationConnect,
    IntegrationConnected,
    IntegrationRead,
    RecordRead,
    RequestRead,
)
from quintet.db.json import Versioned
from quintet.http.answers import changed, listed
from quintet.http.conditional import IfMatch, fresh
from quintet.http.dependencies import Caller, Paging, SessionDep, rate_limit
from quintet.http.envelope import link
from quintet.http.idempotency import Idempotent, do_not_keep
from quintet.http.oauth import remember
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page

router = Router(prefix="/integrations", tags=["integrations"])


async def _sparingly(request: Request, session: SessionDep, caller: Caller) -> None:
    rate_limit(request, session, "integration", account=str(caller.user_id))


_ASKS = [Depends(_sparingly), Idempotent]


@router.get("", response_model=Page[IntegrationRead])
async def list_integrations(request: Request, session: SessionDep, caller: Caller, paging: Paging) -> Response:
    """List the services the caller has connected, newest first."""
    return listed(queries.list_integrations(session, caller, paging, connect=_connect(request)))


@router.post(
    "",
    status_code=201,
    response_model=IntegrationConnected,
    dependencies=_ASKS,
    responses={
        200: {"model": IntegrationConnected, "description": "There was one, which is connected again."},
        **responses(404, 409, 429),
    },
)
async def connect_service(request: Request, session: SessionDep, caller: Caller, new: IntegrationConnect) -> Response:
    """Connect a service, or connect it again: with its key, or by sending the browser to `authorization_url`.

    That has to be the browser that this answer, with its cookie, came to: send the request with credentials.
    """
    integration, is_new = service.connect(session, caller, new=new)
    begun = authorizing.begin_connecting(request, session, caller, integration, new.return_to)
    session.flush()
    body, version = queries.read_integration(session, caller, integration.id, connect=_connect(request))
    url = json.dumps({"authorization_url": begun and begun.url}).encode()
    response = changed(Versioned(body[:-1] + b"," + url[1:], version))
    if is_new:
        response.status_code = 201
        response.headers["location"] = link(request.scope, f"/integrations/{integration.id}")
    if begun is not None:
        do_not_keep(request)
        remember(request, response, begun.browser, fetched=True)
    return response


@router.get("/{integration_id}", response_model=IntegrationRead)
async def read_integration(request: Request, session: SessionDep, caller: Caller, integration_id: UUID) -> Response:
    """Read one integration: whether it works, and when it was last fetched from."""
    return fresh(request, queries.read_integration(session, caller, integration_id, connect=_connect(request)))


@router.delete("/{integration_id}", status_code=204)
async def disconnect_service(session: SessionDep, caller: Caller, integration_id: UUID, expected: IfMatch) -> Response:
    """Disconnect a service: what was fetched is removed, and the provider is told where it can be.

    Files that it made stay.
    """
    service.disconnect(session, caller, integration_id=integration_id, expected=expected)
    return Response(status_code=204)


@router.post(
    "/{integration_id}/sync",
    status_code=202,
    response_model=IntegrationRead,
    dependencies=_ASKS,
    responses=responses(409, 429),
)
async def sync_integration(request: Request, session: SessionDep, caller: Caller, integration_id: UUID) -> Response:
    """Have what the service holds fetched now; it is each hour, too."""
    service.request_sync(session, caller, integration_id=integration_id)
    session.flush()
    return _accepted(queries.read_integration(session, caller, integration_id, connect=_connect(request)))


@router.get("/{integration_id}/records", response_model=Page[RecordRead])
async def list_records(
    session: SessionDep,
    caller: Caller,
    integration_id: UUID,
    paging: Paging,
    kind: Annotated[str | None, Query(max_length=40, pattern="^[a-z_]+$", description="Only those.")] = None,
) -> Response:
    """List what was fetched from a service, newest first."""
    return listed(queries.list_records(session, caller, integration_id, paging, kind=kind))


@router.post(
    "/{integration_id}/requests",
    status_code=202,
    response_model=RequestRead,
    dependencies=_ASKS,
    responses=responses(409, 429),
)
async def ask_service(
    request: Request, session: SessionDep, caller: Caller, integration_id: UUID, new: Annotated[RequestCreate, Body()]
) -> Response:
    """Ask something of a service. It is done from a queue; `Location` is where what comes of it can be read.

    While the service is out of reach, what is read is the last good answer, with `stale_since`.
    """
    asked = service.ask(session, caller, integration_id=integration_id, new=new)
    response = _accepted(queries.read_request(session, caller, integration_id, asked.id))
    response.headers["location"] = link(request.scope, f"/integrations/{integration_id}/requests/{asked.id}")
    return response


@router.get("/{integration_id}/requests", response_model=Page[RequestRead])
async def list_requests(session: SessionDep, caller: Caller, integration_id: UUID, paging: Paging) -> Response:
    """List what was asked of a service, newest first."""
    return listed(queries.list_requests(session, caller, integration_id, paging))


@router.get("/{integration_id}/requests/{request_id}", response_model=RequestRead)
async def read_request(
    request: Request, session: SessionDep, caller: Caller, integration_id: UUID, request_id: UUID
) -> Response:
    """Read what came of a request."""
    return fresh(request, queries.read_request(session, caller, integration_id, request_id))


def _connect(request: Request) -> str:
    return link(request.scope, service.CONNECT_AGAIN["href"])


def _accepted(found: Versioned) -> Response:
    response = changed(found)
    response.status_code = 202
    return response
