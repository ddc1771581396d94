"""The pages behind mailed links, for whoever has no front end: a confirmation, and a form for a new password."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import Form, Query, Request
from starlette.responses import HTMLResponse

from functions.auth import service
from quintet.errors import BadRequest
from quintet.http.dependencies import SessionDep, rate_limit
from quintet.http.pages import also_pages, html_page, message_page, problem_page
from quintet.http.problems import responses
from quintet.http.routing import Router
from quintet.identity.passwords import MAX_LENGTH, MIN_LENGTH

router = Router(prefix="/auth", tags=["auth"])

_TEMPLATES = Path(__file__).parent / "templates"

_RESPONSES = {**also_pages(400), **responses(429)}  # a page, or a problem when a field is missing

TokenQuery = Annotated[str, Query(min_length=1, max_length=200, description="From the email.")]
TokenField = Annotated[str, Form(min_length=1, max_length=200)]


@router.get("/email-verification/page", response_class=HTMLResponse)
async def verification_page(token: TokenQuery) -> HTMLResponse:
    """The page a verification link opens; a mail scanner that only looks does not spend the token."""
    return _page("verify.html", token=token)


@router.post("/email-verification/page", response_class=HTMLResponse, responses=_RESPONSES)
async def verify(request: Request, session: SessionDep, token: TokenField) -> HTMLResponse:
    """Verify the address, as the page's button does."""
    rate_limit(request, session, "token_confirm")
    try:
        service.confirm_email(session, token=token)
    except BadRequest as problem:
        return problem_page(request, problem)
    return message_page(200, title="Thank you", text="Your email address is verified.")


@router.get("/account-restore/page", response_class=HTMLResponse)
async def restore_page(token: TokenQuery) -> HTMLResponse:
    """The page that the link opens by which a deleted account is taken back."""
    return _page("restore.html", token=token)


@router.post("/account-restore/page", response_class=HTMLResponse, responses=_RESPONSES)
async def restore(request: Request, session: SessionDep, token: TokenField) -> HTMLResponse:
    """Take the account back, as the page's button does."""
    rate_limit(request, session, "token_confirm")
    try:
        service.restore_account(session, token=token)
    except BadRequest as problem:
        return problem_page(request, problem)
    return message_page(200, title="Welcome back", text="Your account is yours again. Sign in as before.")


@router.get("/password-reset/page", response_class=HTMLResponse)
async def password_page(token: TokenQuery) -> HTMLResponse:
    """The page a password link opens: a form for the new password."""
    return _page("password.html", token=token)


@router.post("/password-reset/page", response_class=HTMLResponse, responses=_RESPONSES)
async def reset_password(
    request: Request,
    session: SessionDep,
    token: TokenField,
    password: Annotated[str, Form(min_length=1, max_length=1024)],
) -> HTMLResponse:
    """Set the new password, as the page's form does."""
    rate_limit(request, session, "token_confirm")
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        return _page("password.html", 400, token=token, error=f"Use {MIN_LENGTH} to {MAX_LENGTH} characters.")
    try:
        service.confirm_password_reset(session, token=token, password=password)
    except BadRequest as problem:
        session.rollback()  # the token is not spent by a password that is refused
        return _page("password.html", 400, token=token, error=problem.errors[0].detail)
    return message_page(200, title="Done", text="Your password is set. Sign in with it.")


def _page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    return html_page(_TEMPLATES, template, status, min=MIN_LENGTH, max=MAX_LENGTH, **values)
