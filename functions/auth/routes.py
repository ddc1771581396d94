"""HTTP of registration, sign-in and sessions."""

from typing import Annotated
from uuid import UUID

from fastapi import Body, Cookie, Depends, Request
from starlette.responses import Response

from functions.auth import queries, refresh, service
from functions.auth.cookies import COOKIE, check_origin, clear_cookie, set_cookie
from functions.auth.schemas import (
    AccountCreate,
    AccountRead,
    AccountRestore,
    EmailVerificationConfirm,
    KeySet,
    PasswordChange,
    PasswordResetConfirm,
    PasswordResetRequest,
    Refresh,
    SessionRead,
    SignIn,
    SignOut,
    TokenRead,
)
from quintet.http.answers import changed, created, listed
from quintet.http.dependencies import Caller, Paging, SessionDep, outside_transaction, rate_limit
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.http.schemas import Page
from quintet.identity.keys import token_keys
from quintet.identity.principal import authenticate
from quintet.identity.tokens import LIFETIME

router = Router(tags=["auth"])

RefreshCookie = Annotated[str | None, Cookie(alias=COOKIE, include_in_schema=False)]


@router.post("/auth/register", status_code=201, response_model=AccountRead, responses=responses(409, 429))
async def register(request: Request, session: SessionDep, new: AccountCreate) -> Response:
    """Create an account; a verification link is mailed."""
    rate_limit(request, session, "register")
    user = service.register(session, new=new)
    account = AccountRead(
        id=user.id,
        email=user.email,
        username=user.username,
        full_name=user.full_name,
        email_verified=False,
        roles=[new.role],
        created_at=user.created_at,
    )
    return created(request, account, f"/users/{user.id}")


@router.post(
    "/auth/login",
    response_model=TokenRead,
    dependencies=[Depends(outside_transaction)],
    responses=responses(401, 429),
)
@router.post(
    "/login",
    response_model=TokenRead,
    dependencies=[Depends(outside_transaction)],
    responses=responses(401, 429),
    name="login_short",
)
async def login(request: Request, session: SessionDep, credentials: SignIn) -> Response:
    """Sign in with email and password."""
    rate_limit(request, session, "sign_in", account=credentials.email)
    tokens = service.sign_in(
        session,
        email=credentials.email,
        password=credentials.password,
        user_agent=request.headers.get("user-agent"),
    )
    return token_answer(tokens, in_body=credentials.token_delivery == "body")


@router.post("/auth/refresh", response_model=TokenRead, responses=responses(401, 403, 429))
async def refresh_tokens(
    request: Request,
    session: SessionDep,
    sent: Annotated[Refresh | None, Body()] = None,
    cookie: RefreshCookie = None,
) -> Response:
    """Exchange the refresh token (cookie or body) for new tokens; it is spent by that."""
    rate_limit(request, session, "refresh")
    in_body = sent is not None and sent.refresh_token is not None
    if not in_body:
        check_origin(request)
    presented = refresh.parse(sent.refresh_token if sent and in_body else cookie)
    rotated = refresh.rotate(session, presented)
    tokens = service.tokens_of(token_keys()[0], user_id=rotated.user_id, session_id=rotated.id, counter=rotated.counter)
    return token_answer(tokens, in_body=in_body)


@router.post("/auth/logout", status_code=204, responses=responses(401, 403))
@router.post("/logout", status_code=204, responses=responses(401, 403), name="logout_short")
async def logout(
    request: Request,
    session: SessionDep,
    sent: Annotated[SignOut | None, Body()] = None,
    cookie: RefreshCookie = None,
) -> Response:
    """Sign out: this session, the others, or all; by access token or by refresh token."""
    sent = sent or SignOut()
    if "authorization" in request.headers:
        caller = authenticate(session, request.headers["authorization"])
        session_id, user_id = caller.session_id, caller.user_id
    else:
        if sent.refresh_token is None:
            check_origin(request)
        signed_in = refresh.session_of(session, refresh.parse(sent.refresh_token or cookie))
        session_id, user_id = signed_in.id, signed_in.user_id
    service.sign_out(session, session_id=session_id, user_id=user_id, scope=sent.scope)
    response = Response(status_code=204)
    if sent.scope != "others":
        clear_cookie(response)
    return response


@router.get("/sessions", response_model=Page[SessionRead])
async def list_sessions(session: SessionDep, caller: Caller, paging: Paging) -> Response:
    """List the caller's sessions."""
    return listed(queries.list_sessions(session, caller, paging))


@router.delete("/sessions/{session_id}", status_code=204)
async def end_session(session: SessionDep, caller: Caller, session_id: UUID) -> Response:
    """End one of the caller's sessions."""
    service.end_session(session, caller, session_id=session_id)
    return Response(status_code=204)


@router.post("/auth/password", status_code=204, responses=responses(429))
async def change_password(request: Request, session: SessionDep, caller: Caller, change: PasswordChange) -> Response:
    """Change the password; every session of the account ends, this one too."""
    rate_limit(request, session, "sign_in", account=caller.email)
    service.change_password(session, caller, current=change.current_password, new=change.new_password)
    return Response(status_code=204)


@router.post("/auth/password-reset", status_code=202, response_class=Response, responses=responses(429))
async def request_password_reset(request: Request, session: SessionDep, sent: PasswordResetRequest) -> Response:
    """Have a reset link mailed; the answer is the same whether or not there is an account."""
    rate_limit(request, session, "password_reset", account=sent.email)
    service.request_password_reset(session, email=sent.email)
    return Response(status_code=202)


@router.post("/auth/password-reset/confirm", status_code=204, responses=responses(429))
async def confirm_password_reset(request: Request, session: SessionDep, sent: PasswordResetConfirm) -> Response:
    """Set a new password with the mailed token; every session of the account ends."""
    rate_limit(request, session, "token_confirm")
    service.confirm_password_reset(session, token=sent.token, password=sent.password)
    return Response(status_code=204)


@router.post("/auth/email-verification", status_code=202, response_class=Response, responses=responses(429))
async def request_email_verification(request: Request, session: SessionDep, caller: Caller) -> Response:
    """Have the verification link mailed again."""
    rate_limit(request, session, "email_verification", account=caller.email)
    service.request_email_verification(session, caller)
    return Response(status_code=202)


@router.post("/auth/email-verification/confirm", status_code=204, responses=responses(429))
async def confirm_email(request: Request, session: SessionDep, sent: EmailVerificationConfirm) -> Response:
    """Verify the address with the mailed token."""
    rate_limit(request, session, "token_confirm")
    service.confirm_email(session, token=sent.token)
    return Response(status_code=204)


@router.post("/auth/account-restore/confirm", status_code=204, responses=responses(429))
async def restore_account(request: Request, session: SessionDep, sent: AccountRestore) -> Response:
    """Take back a deleted account with the mailed token."""
    rate_limit(request, session, "token_confirm")
    service.restore_account(session, token=sent.token)
    return Response(status_code=204)


@router.get("/.well-known/jwks.json", response_model=KeySet)
async def public_keys(session: SessionDep) -> Response:
    """The public keys that verify access tokens (RFC 7517)."""
    headers = {"cache-control": "public, max-age=300"}
    return Response(queries.public_keys(session), media_type="application/json", headers=headers)


def token_answer(tokens: service.Tokens, *, in_body: bool) -> Response:
    """Tokens for whoever has signed in: the refresh token in its cookie, or `in_body`."""
    body = TokenRead(access_token=tokens.access, expires_in=LIFETIME, refresh_token=tokens.refresh if in_body else None)
    response = changed(body)
    if not in_body:
        set_cookie(response, tokens.refresh)
    return response
