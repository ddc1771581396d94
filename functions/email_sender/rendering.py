"""Templates to text: each email is written once and rendered as plain text and as HTML."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

_TEMPLATES = Path(__file__).parent / "templates"
_SUBJECT_LENGTH = 120  # what mail programs show at most

Value = str | Sequence[Mapping[str, str]]

_BREAKS = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")
_DIRECTIONS = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Content:
    """What an email says. It may hold a token, so its repr tells nothing."""

    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)


def render(template: str, **values: Value) -> Content:
    """The email `template` with `values`, each text in which becomes one line of harmless text."""
    values = {name: _harmless(value) for name, value in values.items()}
    text, html = (_environment(form).get_template(f"{template}.jinja") for form in ("txt", "html"))
    subject = shortened(one_line(_block(text, "subject", values)), _SUBJECT_LENGTH)
    return Content(
        subject=subject,
        text=re.sub(r"\n{3,}", "\n\n", text.render(values, subject=subject)).strip() + "\n",
        html=html.render(values, subject=subject),
    )


def _harmless(value: Value) -> Value:
    if isinstance(value, str):
        return one_line(value)
    return [{name: one_line(text) for name, text in item.items()} for item in value]


def one_line(value: str) -> str:
    """`value` without line breaks, other controls, and characters that change the direction of what follows.

    A header cannot be injected, nor a paragraph, nor can `gpj.exe` be made to read `exe.jpg`.
    """
    return _BREAKS.sub(" ", _DIRECTIONS.sub("", value)).strip()


def shortened(value: str, length: int) -> str:
    """At most `length` characters, with an ellipsis where some are left out."""
    return value if len(value) <= length else value[: length - 1].rstrip() + "…"


def _block(template: Template, name: str, values: dict[str, Value]) -> str:
    return "".join(template.blocks[name](template.new_context(values)))


@lru_cache(maxsize=2)
def _environment(form: str) -> Environment:
    """The templates as `txt` or `html`: same words, other layout and parts, and escaping in HTML."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=form == "html",  # noqa: S701  (plain text has nothing to escape)
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals |= {"layout": f"layout.{form}", "parts": f"parts.{form}"}
    # What people typed keeps its own direction and leaves that of the sentence alone.
    environment.filters["given"] = Markup("<bdi>{}</bdi>").format if form == "html" else str
    environment.filters["shortened"] = shortened
    return environment
