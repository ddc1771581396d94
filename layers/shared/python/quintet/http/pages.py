"""Pages for people: a template, and the one style sheet that its policy lets in.

`base.html`, `message.html` (`title` and `text`) and a style sheet for small pages are here; what else a page says is in
its function's own templates, which may have a style sheet of their own.
"""

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse

_TEMPLATES = Path(__file__).parent / "templates"


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


@lru_cache(maxsize=1)
def _environment(folder: Path) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = FileSystemLoader([folder, _TEMPLATES])
    return Environment(loader=templates, autoescape=True, undefined=StrictUndefined, trim_blocks=True)
