"""The pages behind mailed links, for whoever has no front end: a confirmation, and a form for a new password."""

from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Annotated, Any

from fastapi import Form, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import HTMLResponse, Response

from functions.auth import service
from quintet.errors import BadRequest, Problem
from quintet.http.dependencies import SessionDep, rate_limit
from quintet.http.envelope import link
from quintet.http.pages import html_page
from quintet.http.problems import invalid, responses
from quintet.http.routing import Route, Router
from quintet.identity.passwords import MAX_LENGTH, MIN_LENGTH

router = Router(prefix="/auth", tags=["auth"])

_TEMPLATES = Path(__file__).parent / "templates"

HTML = {"text/html": {"schema": {"type": "string"}}}
_RESPONSES: dict[int | str, dict[str, Any]] = responses(400, 429)
_RESPONSES[400]["content"] |= HTML  # the page again, saying what is wrong; a problem when a field is missing

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
        return message_page(400, title="This did not work", text=_reason(problem))
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
        return message_page(400, title="This did not work", text=_reason(problem))
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
        return _page("password.html", 400, token=token, error=_reason(problem))
    return message_page(200, title="Done", text="Your password is set. Sign in with it.")


class RouteForPeople(Route):
    """Its problems are pages for browsers, which come there by links."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler of every route."""
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await handle(request)
            except (Problem, RequestValidationError) as error:
                if not wants_page(request):
                    raise
                return _problem_page(request, error) if isinstance(error, Problem) else self._wrong_link(error)

        return handler

    def _wrong_link(self, error: RequestValidationError) -> HTMLResponse:
        """Says what is wrong with it, and repeats nothing of it: whoever made the link would speak in our name."""
        known = {*self.query_names, *self.param_convertors}
        told = dict.fromkeys(
            f"{name}: {field.detail}" if (name := field.pointer.partition("/")[2]) in known else field.detail
            for field in invalid(error).errors
        )
        text = f"The link that led here is not right. {' '.join(told)}"
        return message_page(400, title="This did not work", text=text)


def also_pages(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of the errors of a RouteForPeople."""
    documented = responses(*statuses)
    for status in documented.values():
        status["content"] |= HTML
    return documented


def wants_page(request: Request) -> bool:
    """Whether this is a browser that somebody looks at."""
    return "text/html" in request.headers.get("accept", "")


def message_page(
    status: int, *, title: str, text: str, again: str = "", headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """A page that says how something ended; `again` is the address of another try."""
    return html_page(_TEMPLATES, "message.html", status, title=title, text=text, again=again, headers=headers)


def _problem_page(request: Request, error: Problem) -> HTMLResponse:
    text = error.errors[0].detail if error.errors else error.detail
    again = link(request.scope, error.next["href"]) if error.next else ""
    return message_page(error.status, title="This did not work", text=text, again=again, headers=error.headers)


def _reason(problem: BadRequest) -> str:
    return problem.errors[0].detail


def _page(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    return html_page(_TEMPLATES, template, status, min=MIN_LENGTH, max=MAX_LENGTH, **values)
