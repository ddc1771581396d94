"""The unsubscribe links of emails, for whoever follows one: a person, a mail program (RFC 8058), or a link scanner."""

from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Form, Query
from starlette.responses import HTMLResponse

from functions.notifications import service
from quintet.errors import BadRequest
from quintet.http.dependencies import SessionDep
from quintet.http.pages import html_page
from quintet.http.problems import responses
from quintet.http.routing import Router

router = Router(prefix="/notifications", tags=["notifications"])

_TEMPLATES = Path(__file__).parent / "templates"
_RESPONSES: dict[int | str, dict[str, Any]] = responses(400)
_RESPONSES[400]["content"] |= {"text/html": {"schema": {"type": "string"}}}  # a page; a problem for a missing field

Token = Annotated[str, Query(max_length=200, pattern="^[A-Za-z0-9_-]+$", description="From the email.")]


@router.get("/unsubscribe", response_class=HTMLResponse)
async def unsubscribe_page(token: Token) -> HTMLResponse:
    """The page an unsubscribe link opens; it changes nothing."""
    return html_page(_TEMPLATES, "unsubscribe.html", token=token)


@router.post("/unsubscribe", response_class=HTMLResponse, responses=_RESPONSES)
async def unsubscribe(
    session: SessionDep, token: Token, one_click: Annotated[Literal["One-Click"], Form(alias="List-Unsubscribe")]
) -> HTMLResponse:
    """Turn emails of a kind off without signing in, as a mail program does (RFC 8058), or the page's button."""
    try:
        service.unsubscribe(session, token=token)
    except BadRequest as problem:
        return _message(400, title="This did not work", text=problem.errors[0].detail)
    return _message(200, title="Done", text="You get no more emails of this kind.")


def _message(status: int, **values: Any) -> HTMLResponse:
    return html_page(_TEMPLATES, "message.html", status, **values)
