"""What routes ask for: a session, the caller, a page."""

from typing import Annotated, Any

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPBearer
from sqlalchemy.orm import Session

from quintet.config import settings
from quintet.db.session import reading, writing
from quintet.events.record import Origin, originate
from quintet.http.envelope import answer_headers, request_id_of
from quintet.identity import rate_limits
from quintet.identity.principal import Principal, authenticate
from quintet.observability import logger
from quintet.pagination import PageRequest


async def in_transaction(request: Request) -> None:
    """For the `dependencies` of a GET that writes, as one product documents it."""
    request.state.in_transaction = True


async def outside_transaction(request: Request) -> None:
    """For the `dependencies` of a POST that works long between its statements: each of them stands alone."""
    request.state.in_transaction = False


async def get_session(request: Request) -> Session:
    """One session per request: autocommit for a GET, a transaction for everything else; a route may say otherwise.

    `quintet.http.routing.Route` ends it. As a dependency that yields it would cost each request 40 us more.
    """
    writes = getattr(request.state, "in_transaction", request.method != "GET")
    session: Session = request.state.until_answered.enter_context(writing() if writes else reading())
    originate(session, Origin(ip=client_ip(request), request_id=request_id_of(request.scope)))
    request.state.session = session
    return session


SessionDep = Annotated[Session, Depends(get_session)]


class _Bearer(HTTPBearer):
    """The signed-in caller; 401 for anybody else."""

    async def __call__(self, request: Request, session: SessionDep) -> Principal:  # type: ignore[override]
        """Both the scheme that the documentation names and what it gives: one dependency instead of two."""
        caller = authenticate(session, request.headers.get("authorization"))
        originate(session, Origin(caller.user_id, client_ip(request), request_id_of(request.scope)))
        logger.thread_safe_append_keys(user_id=str(caller.user_id))  # whose requests these are
        return caller


_bearer = _Bearer(scheme_name="bearer", bearerFormat="JWT", description="The access token of a sign-in.")

Caller = Annotated[Principal, Security(_bearer)]


class _BearerIfSent(_Bearer):
    """The signed-in caller, or None for who sends no credentials; 401 for bad ones."""

    async def __call__(self, request: Request, session: SessionDep) -> Principal | None:  # type: ignore[override]
        return await super().__call__(request, session) if "authorization" in request.headers else None


AnyCaller = Annotated[
    Principal | None,
    Security(_BearerIfSent(scheme_name=_bearer.scheme_name, bearerFormat="JWT", description=_bearer.model.description)),
]
ANONYMOUS_TOO: dict[str, Any] = {"security": [{}]}
"""For the `openapi_extra` of a route that takes `AnyCaller`: one may sign in, or not."""


def client_ip(request: Request) -> str | None:
    """The peer's address as API Gateway saw it, or as the CDN says; never X-Forwarded-For, which anybody can write."""
    if header := settings().client_address_header:
        return request.headers.get(header)
    return request.client.host if request.client else None


def public_host(request: Request) -> str:
    """The name, and perhaps the port, by which the browser reached the API: the request's own, or as the CDN says."""
    if header := settings().public_host_header:
        return request.headers.get(header, "")
    return request.url.netloc


def rate_limit(request: Request, session: Session, name: str, **values: str) -> None:
    """Count one attempt at `name` by the caller's address and by `values`; 429 when it is one too many.

    The `RateLimit` headers go onto whatever the request is answered.
    """
    headers = rate_limits.count(session, name, ip=client_ip(request) or "", **values)
    answer_headers(request.scope).update(headers)


Limit = Annotated[int, Query(ge=1, le=100, description="How many items at most.")]


async def _page_request(
    limit: Limit = 50,
    cursor: Annotated[
        str | None,
        Query(
            max_length=200,
            description="The `next_cursor` of the page before.",
            json_schema_extra={"pattern": "^([A-Za-z0-9_-]{22})?$"},
        ),
    ] = None,
) -> PageRequest:
    return PageRequest(limit, cursor)


Paging = Annotated[PageRequest, Depends(_page_request)]
