"""Pages for people: a template, and the one style sheet that its policy lets in.

`base.html`, `message.html` (`title`, `text`, and perhaps `again`, an address) and a style sheet for small pages are
here; what else a page says is in its function's own templates, which may have a style sheet of their own.
"""

import base64
import hashlib
from collections.abc import Callable, Coroutine, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import HTMLResponse, Response

from quintet.errors import Problem
from quintet.http.envelope import link
from quintet.http.problems import invalid, responses
from quintet.http.routing import Route

HTML = {"text/html": {"schema": {"type": "string"}}}
"""The OpenAPI content of an answer that is a page."""

_TEMPLATES = Path(__file__).parent / "templates"
_FAILED = "This did not work"


def html_page(
    folder: Path, template: str, status: int = 200, *, headers: Mapping[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """`template` with `values`, escaped, and `style.css` as `style`: from `folder`, or those here.

    Its content security policy (CSP 3) allows that style sheet by its hash, and neither scripts nor `style` attributes.
    """
    environment = _environment(folder)
    style, *_ = environment.loader.get_source(environment, "style.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'"
    html = environment.get_template(template).render(style=style, **values)
    return HTMLResponse(html, status, {**(headers or {}), "content-security-policy": policy})


def message_page(
    status: int, *, title: str, text: str, again: str = "", headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """A page that says how something ended; `again` is the address of another try."""
    return html_page(_TEMPLATES, "message.html", status, title=title, text=text, again=again, headers=headers)


def problem_page(request: Request, problem: Problem) -> HTMLResponse:
    """A problem, for people: what is wrong, and where to try again if that helps."""
    text = problem.errors[0].detail if problem.errors else problem.detail
    again = link(request.scope, problem.next["href"]) if problem.next else ""
    return message_page(problem.status, title=_FAILED, text=text, again=again, headers=problem.headers)


def wants_page(request: Request) -> bool:
    """Whether this is a browser that somebody looks at."""
    return "text/html" in request.headers.get("accept", "")


def also_pages(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of problems that are pages too."""
    documented = responses(*statuses)
    for status in documented.values():
        status["content"] |= HTML
    return documented


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
                return problem_page(request, error) if isinstance(error, Problem) else self._wrong_link(error)

        return handler

    def _wrong_link(self, error: RequestValidationError) -> HTMLResponse:
        """Says what is wrong with it, and repeats nothing of it: whoever made the link would speak in our name."""
        known = {*self.query_names, *self.param_convertors}
        told = dict.fromkeys(
            f"{name}: {field.detail}" if (name := field.pointer.partition("/")[2]) in known else field.detail
            for field in invalid(error).errors
        )
        return message_page(400, title=_FAILED, text=f"The link that led here is not right. {' '.join(told)}")


@lru_cache(maxsize=2)  # of a function's own folder and of the one here
def _environment(folder: Path) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = FileSystemLoader([folder, _TEMPLATES])
    return Environment(loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
