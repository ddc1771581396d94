"""Connecting at a provider: there, and back again with a code (RFC 6749, 4.1)."""

from typing import Literal, NamedTuple
from uuid import UUID

from fastapi import Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import HTMLResponse, Response

from functions.integrations import service
from quintet.db.models.integrations import Integration
from quintet.db.session import writing
from quintet.events.record import Origin, originate
from quintet.http.dependencies import SessionDep, rate_limit
from quintet.http.oauth import ProviderAnswer, browser_of, callback
from quintet.http.pages import RouteForPeople, also_pages, message_page
from quintet.http.routing import Router
from quintet.identity.principal import Principal
from quintet.identity.sessions import is_alive
from quintet.integrations.services import SERVICES, Service
from quintet.oauth.authorization import AuthorizationRefused, Resumed, begin, resume
from quintet.oauth.providers import Client, client_of
from quintet.oauth.tokens import ProviderFailed, ProviderRefused, Tokens, exchange

router = Router(prefix="/integrations", tags=["integrations"], route_class=RouteForPeople)


class Begun(NamedTuple):
    """Where a browser is to go, and the value by which it is known again."""

    url: str
    browser: str


def begin_connecting(
    request: Request, session: Session, caller: Principal, integration: Integration, return_to: str | None
) -> Begun | None:
    """Where the caller's browser is to go; None for a service that one goes nowhere for."""
    wanted = SERVICES[integration.service]
    if not wanted.provider:
        return None
    browser = browser_of(request)
    url = begin(
        session,
        client_of(wanted.provider),
        flow="connect",
        browser=browser,
        redirect_uri=_callback(request, wanted),
        scopes=wanted.scopes,
        user_id=caller.user_id,
        session_id=caller.session_id,
        data={"integration_id": str(integration.id), "return_to": return_to},
        **wanted.parameters,
    )
    return Begun(url, browser)


@router.get(
    "/callback/{name}",
    response_class=HTMLResponse,
    responses={
        303: {"description": "At `return_to`: it is connected."},
        **also_pages(400, 403, 404, 409, 429, 502),
    },
)
async def return_to_connect(
    request: Request, session: SessionDep, name: Literal["github", "google_docs"], answer: ProviderAnswer
) -> Response:
    """The page a provider sends people back to, which connects what they have agreed to."""
    wanted = SERVICES[name]
    client = client_of(wanted.provider)
    rate_limit(request, session, "integration_callback")
    begun = resume(session, client, flow="connect", browser=browser_of(request), answer=answer)
    session.close()  # nobody holds a connection while the provider is asked
    tokens = _tokens(request, client, wanted, begun)
    _connect(session.info["origin"], wanted, begun, tokens)
    if return_to := begun.data.get("return_to"):
        return Response(status_code=303, headers={"location": return_to})
    return message_page(200, title="Connected", text=f"{wanted.title} is connected. You can close this page.")


def _tokens(request: Request, client: Client, wanted: Service, begun: Resumed) -> Tokens:
    try:
        return exchange(client, code=begun.code, redirect_uri=_callback(request, wanted), verifier=begun.verifier)
    except ProviderRefused as refused:
        detail = f"{wanted.title} does not take what you came back with. Begin again."
        raise AuthorizationRefused(400, "provider_refused", detail) from refused
    except ProviderFailed as failed:
        detail = f"{wanted.title} does not answer as it should. Try again soon."
        raise AuthorizationRefused(502, "provider_failed", detail) from failed


def _connect(origin: Origin, wanted: Service, begun: Resumed, tokens: Tokens) -> None:
    """One transaction: who began it is still signed in, and the integration is still there."""
    with writing() as session:
        originate(session, Origin(begun.user_id, origin.ip, origin.request_id))
        integration = session.scalar(
            select(Integration)
            .where(
                Integration.id == UUID(begun.data["integration_id"]),
                Integration.user_id == begun.user_id,
                Integration.status != "disconnected",
            )
            .with_for_update(key_share=True, of=Integration)
        )
        if integration is None or not is_alive(session, begun.session_id):
            detail = "You have signed out, or disconnected it meanwhile. Sign in and begin again."
            raise AuthorizationRefused(409, "gone", detail)
        secrets = {"access_token": tokens.access_token}
        if tokens.refresh_token:
            secrets["refresh_token"] = tokens.refresh_token
        scopes = tokens.scopes or wanted.scopes
        service.connected(session, integration, secrets, scopes=scopes, expires_at=tokens.expires_at)


def _callback(request: Request, wanted: Service) -> str:
    return callback(request, f"/integrations/callback/{wanted.name}")
