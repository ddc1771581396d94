"""Pages for people: a template, and the one style sheet that its policy lets in."""

import base64
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.responses import HTMLResponse


def html_page(
    folder: Path, template: str, status: int = 200, *, headers: Mapping[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """`template` of `folder` with `values`, escaped, and the folder's `style.css` as `style`.

    Its content security policy (CSP 3) allows that style sheet by its hash, and neither scripts nor `style` attributes.
    """
    style = (folder / "style.css").read_text()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; frame-ancestors 'none'"
    html = _environment(folder).get_template(template).render(style=style, **values)
    return HTMLResponse(html, status, {**(headers or {}), "content-security-policy": policy})


@lru_cache(maxsize=1)
def _environment(folder: Path) -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
