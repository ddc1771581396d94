"""HTTP of sign-in by a provider: there, back again, and the identities an account has."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Query, Request
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.responses import HTMLResponse, RedirectResponse, Response

from functions.auth.cookies import set_cookie
from functions.auth.oauth import queries, service
from functions.auth.oauth.schemas import AuthorizationRead, IdentityLink, IdentityRead, ProviderName
from functions.auth.routes import token_answer
from functions.auth.service import Tokens
from quintet.db.session import writing
from quintet.events.record import originate
from quintet.http.answers import changed, listed
from quintet.http.dependencies import Caller, Paging, SessionDep, rate_limit
from quintet.http.oauth import ProviderAnswer, ReturnTo, browser_of, callback, remember
from quintet.http.pages import HTML, RouteForPeople, also_pages, message_page, wants_page
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page
from quintet.identity.keys import token_keys
from quintet.identity.one_time_tokens import LIFETIMES
from quintet.identity.principal import Principal
from quintet.oauth.authorization import AuthorizationRefused, Resumed, begin, resume
from quintet.oauth.providers import Client, client_of

if TYPE_CHECKING:
    from functions.auth.oauth.people import Person

router = Router(tags=["auth"])
browsers = Router(tags=["auth"], route_class=RouteForPeople)
"""What people are sent to: there, and back again."""

_JSON = {
    "application/json": {
        "schema": {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in ("TokenRead", "IdentityRead")]}
    }
}


@browsers.get(
    "/login",
    status_code=303,
    response_class=RedirectResponse,
    responses={303: {"description": "At the provider."}, **also_pages(400, 404, 429)},
)
async def sign_in_by_provider(
    request: Request,
    session: SessionDep,
    provider: ProviderName,
    return_to: Annotated[ReturnTo | None, Query()] = None,
) -> Response:
    """Send the browser to a provider to sign in; it comes back to `/login/callback/{provider}`."""
    client = client_of(provider)
    rate_limit(request, session, "provider_sign_in")
    url, browser = _begin(request, session, client, return_to)
    response = RedirectResponse(url, 303)
    remember(request, response, browser)
    return response


@browsers.get(
    "/login/callback/{provider}",
    response_class=HTMLResponse,
    responses={
        200: {"content": _JSON | HTML},
        303: {"description": "At `return_to`; the refresh token is in its cookie."},
        **also_pages(400, 403, 404, 409, 429, 502),
    },
)
async def return_from_provider(
    request: Request, session: SessionDep, provider: ProviderName, answer: ProviderAnswer
) -> Response:
    """Sign in whom a provider sends back, as `POST /login` does; or link their identity, if that was asked for.

    Their account is that which the identity is linked to, or has the address that the provider has verified, or is a
    new one. Every failure changes nothing; it is a page for browsers.
    """
    from functions.auth.oauth.people import who_is  # 10 ms, which other requests do without

    client = client_of(provider)
    rate_limit(request, session, "provider_sign_in")
    begun: Resumed | None = None
    try:
        begun = resume(session, client, flow="sign_in", browser=browser_of(request), answer=answer)
        session.close()  # nobody holds a connection while the provider is asked
        person = who_is(client, begun, redirect_uri=_callback(request, client))
        done = _settle(request, session, client, begun, person)
    except AuthorizationRefused as refused:
        service.refuse(session, client, refused)
        if refused.user_id is None:
            refused.next = {"rel": "sign-in", "href": _again(provider, begun.data if begun else refused.data)}
        raise
    if return_to := begun.data.get("return_to"):
        response = Response(status_code=303, headers={"location": return_to})
        if isinstance(done, Tokens):
            set_cookie(response, done.refresh)
        return response
    if isinstance(done, Tokens):
        return token_answer(done, in_body=False)
    if wants_page(request):
        return message_page(200, title="Done", text=f"You can sign in with {client.provider.title} now.")
    return changed(done)


@router.get("/auth/identities", response_model=Page[IdentityRead])
async def list_identities(session: SessionDep, caller: Caller, paging: Paging) -> Response:
    """List the accounts at providers by which the caller can sign in."""
    return listed(queries.list_identities(session, caller, paging))


@router.post("/auth/identities", response_model=AuthorizationRead, responses=responses(404, 429))
async def link_identity(request: Request, session: SessionDep, caller: Caller, wanted: IdentityLink) -> Response:
    """Begin to link an account at a provider: answers where the browser is to go."""
    rate_limit(request, session, "provider_sign_in")
    client = client_of(wanted.provider)
    url, browser = _begin(request, session, client, wanted.return_to, caller)
    lifetime = int(LIFETIMES["oauth_state"].total_seconds())
    response = changed(AuthorizationRead(authorization_url=url, expires_in=lifetime))
    remember(request, response, browser, fetched=True)
    return response


@router.delete("/auth/identities/{identity_id}", status_code=204, responses=responses(409))
async def unlink_identity(session: SessionDep, caller: Caller, identity_id: UUID) -> Response:
    """Have an account at a provider sign in no more, until it is linked again; 409 when it is the only way to."""
    service.unlink(session, caller, identity_id=identity_id)
    return Response(status_code=204)


def _begin(
    request: Request, session: Session, client: Client, return_to: str | None, caller: Principal | None = None
) -> tuple[str, str]:
    """The provider's address, and the value by which the browser is known that goes there."""
    browser = browser_of(request)
    url = begin(
        session,
        client,
        flow="sign_in",
        browser=browser,
        redirect_uri=_callback(request, client),
        scopes=client.provider.sign_in_scopes,
        data={"return_to": return_to} if return_to else None,
        user_id=caller.user_id if caller else None,
        session_id=caller.session_id if caller else None,
    )
    return url, browser


def _again(provider: ProviderName, data: Mapping[str, Any]) -> str:
    """The address by which what was begun with `data` is begun once more."""
    return_to = {"return_to": data["return_to"]} if "return_to" in data else {}
    return f"/login?{urlencode({'provider': provider, **return_to})}"


def _callback(request: Request, client: Client) -> str:
    return callback(request, f"/login/callback/{client.provider.name}")


def _settle(
    request: Request, session: Session, client: Client, begun: Resumed, person: "Person"
) -> Tokens | IdentityRead:
    """Sign in, or link: one transaction."""
    keys = token_keys()[0]

    def settle() -> Tokens | IdentityRead:
        with writing() as changing:
            originate(changing, session.info["origin"])
            if begun.user_id:
                return IdentityRead.model_validate(service.link(changing, client, begun=begun, person=person))
            agent = request.headers.get("user-agent")
            return service.sign_in(changing, client, person=person, keys=keys, user_agent=agent)

    try:
        return settle()
    except IntegrityError:  # somebody else was quicker to make or to link the same: now it is there
        return settle()
