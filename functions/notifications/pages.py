"""The unsubscribe links of emails, for whoever follows one: a person, a mail program (RFC 8058), or a link scanner."""

from pathlib import Path
from typing import Annotated, Literal

from fastapi import Form, Query, Request
from starlette.responses import HTMLResponse

from functions.notifications import service
from quintet.errors import BadRequest
from quintet.http.dependencies import SessionDep
from quintet.http.pages import also_pages, html_page, message_page, problem_page
from quintet.http.routing import Router

router = Router(prefix="/notifications", tags=["notifications"])

_TEMPLATES = Path(__file__).parent / "templates"

Token = Annotated[str, Query(max_length=200, pattern="^[A-Za-z0-9_-]+$", description="From the email.")]


@router.get("/unsubscribe", response_class=HTMLResponse)
async def unsubscribe_page(token: Token) -> HTMLResponse:
    """The page an unsubscribe link opens; it changes nothing."""
    return html_page(_TEMPLATES, "unsubscribe.html", token=token)


@router.post("/unsubscribe", response_class=HTMLResponse, responses=also_pages(400))
async def unsubscribe(
    request: Request,
    session: SessionDep,
    token: Token,
    one_click: Annotated[Literal["One-Click"], Form(alias="List-Unsubscribe")],
) -> HTMLResponse:
    """Turn emails of a kind off without signing in, as a mail program does (RFC 8058), or the page's button."""
    try:
        service.unsubscribe(session, token=token)
    except BadRequest as problem:
        return problem_page(request, problem)
    return message_page(200, title="Done", text="You get no more emails of this kind.")
