"""Where in a text the words are that were sought. Here and not in the database, whose headlines take a second for a
long text, and leave out what people wrote where it takes that for a tag or a number."""

import html
import re
from unicodedata import normalize

WINDOW = 200
"""Characters that are shown of a longer text."""
_BEFORE = 60
"""Of those, before the first word that is found."""

# Letters, digits and the marks that belong to them, as the database's [:alnum:] has it, or nearly.
_WORD = re.compile(
    r"(?:[^\W_]|[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u0670"
    r"\u0900-\u0963\u0970-\u0df3\u0e31-\u0e3a\u0e47-\u0e4e\u0eb1-\u0ecd\u200c\u200d])+"
)
_TERM = re.compile(r'(-?)("[^"]*"?|[^\s"]+)')
"""Of a query: what it excludes begins with a hyphen."""


def highlight(text: str, q: str) -> str:
    """What is around the first words of `q` in `text`, as HTML: `<mark>` around each of them, all else escaped.

    Takes time in proportion to the text.
    """
    text, q = normalize("NFC", text), normalize("NFC", q)  # as the database does
    sought = {word.lower() for excluded, term in _TERM.findall(q) if not excluded for word in _WORD.findall(term)}
    first = next((found for found in _WORD.finditer(text) if found[0].lower() in sought), None)
    start, end = _window(text, *(first.span() if first else (0, 0)))
    parts, done = ["… " if start else ""], start
    for found in _WORD.finditer(text, start, end):
        if found[0].lower() in sought:
            parts += [html.escape(text[done : found.start()]), f"<mark>{html.escape(found[0])}</mark>"]
            done = found.end()
    parts += [html.escape(text[done:end]), " …" if end < len(text) else ""]
    return "".join(parts)


def _window(text: str, first: int, last: int) -> tuple[int, int]:
    """From where to where the text is shown that holds `first` to `last`; it ends between words where it can."""
    start = max(0, first - _BEFORE)
    end = max(last, start + WINDOW)
    if start and (space := re.search(r"\s+", text[start:first])):
        start += space.end()
    if end < len(text) and (space := re.search(r"\s+\S*$", text[last:end])):
        end = last + space.start()
    return start, min(end, len(text))
