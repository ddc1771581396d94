"""Formatting and checking documents by rules."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from html import unescape
from secrets import token_hex
from typing import Any

from functions.ai.schemas import Issue
from quintet.errors import BadRequest

# Bounded and possessive: a text may be all brackets, and is to take time in proportion to its length.
_LINK = re.compile(r"!?\[[^\]\n]{0,300}+\]\(\s{0,9}+<?+([^)>\s]{0,2000}+)>?+[^)\n]{0,300}+\)")
_REFERENCE = re.compile(r"\[[^\]\n]{1,300}+\]\[([^\]\n]{1,300}+)\]")
_DEFINITION = re.compile(r" {0,3}\[([^\]\n]{1,300}+)\]:\s*+\S")
_HEADING = re.compile(r" {0,3}(#{1,6})(?=\s|$)")
_FENCE = re.compile(r"^ {0,3}(```+|~~~+)")
_FRONT_MATTER = re.compile(r"---\n(?:(?:[\w-]++:|[ \t#-]).*+\n)*?---\n")
_WORD = re.compile(r"[^\W\d_]{2,}")
_MAX_ISSUES = 200
_MAX_LINES, _MAX_MARKS, _MARKS = 3_000, 10_000, "*_`["


def require_formattable(text: str, media_type: str) -> None:
    """400 for JSON that is none, and for Markdown that takes mdformat more than seconds: it looks at what lies side
    by side, for each of that."""
    if media_type == "application/json":
        _formatted_json(text)
    if media_type == "text/markdown" and (text.count("\n") > _MAX_LINES or sum(map(text.count, _MARKS)) > _MAX_MARKS):
        raise BadRequest.at(
            "/text",
            f"Send {_MAX_LINES} lines and {_MAX_MARKS} of the signs {' '.join(_MARKS)} at most to be formatted.",
        )


def formatted(text: str, media_type: str) -> str:
    """The text, which is to be formattable, in its usual form. Plain text keeps its words and lines."""
    if media_type == "application/json":
        return _formatted_json(text)
    if media_type == "text/markdown":
        return _formatted_markdown(text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines()) + "\n"


def _formatted_markdown(text: str) -> str:
    """As mdformat has it, below what may stand before it all. A text it would take words from is left as it is: it
    drops definitions that nothing refers to, and what is nested beyond twenty levels."""
    import mdformat  # 40 ms

    front = found[0] if (found := _FRONT_MATTER.match(text)) else ""
    said = str(mdformat.text(text[len(front) :], options={"number": True}))
    kept = _words(text[len(front) :]) <= _words(said)
    return f"{front}\n{said}" if kept and front else said if kept else f"{text.strip()}\n"


def _words(text: str) -> set[str]:
    return set(_WORD.findall(unescape(text)))


def _formatted_json(text: str) -> str:
    mark, twice = token_hex(8), list[str]()
    try:
        said = json.dumps(_loaded(text, mark, twice), indent=2, ensure_ascii=False) + "\n"
    except (ValueError, RecursionError) as error:
        raise BadRequest.at("/text", f"This is not JSON: {_told(error)}.") from None
    if twice:
        raise BadRequest.at("/text", f"An object has “{_shown(twice[0])}” more than once: one of them would be lost.")
    return re.sub(rf'"{mark}([^"]*)"', r"\1", said).encode(errors="backslashreplace").decode()


def _loaded(text: str, mark: str, twice: list[str]) -> Any:
    """What JSON says. Numbers come as `mark` and how they are written; names that an object has twice are noted."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        twice.extend(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
        return dict(pairs)

    def number(written: str) -> str:
        return mark + written

    def constant(name: str) -> None:
        raise ValueError(f"{name} is no value it has")

    return json.loads(text, object_pairs_hook=once, parse_int=number, parse_float=number, parse_constant=constant)


def issues_in(text: str, media_type: str) -> list[Issue]:
    """What is wrong with a document: broken JSON; of Markdown, headings, links and empty sections."""
    if media_type == "application/json":
        found = _json(text)
    elif media_type == "text/markdown":
        found = _markdown(text)
    else:
        found = _plain(text)
    return [issue for issue, _ in zip(found, range(_MAX_ISSUES), strict=False)]


def listed(issues: list[Issue]) -> str:
    """The issues as a Markdown list."""
    if not issues:
        return "Nothing is wrong as far as rules can tell."
    return "\n".join(f"- Line {issue.line}: {issue.message} (`{issue.rule}`)" for issue in issues)


def _json(text: str) -> Iterator[Issue]:
    twice: list[str] = []
    try:
        _loaded(text, "", twice)
    except json.JSONDecodeError as error:
        yield Issue(line=error.lineno, rule="json-syntax", message=f"{error.msg}, column {error.colno}")
    except ValueError as error:
        yield Issue(line=1, rule="json-syntax", message=str(error))
    except RecursionError:
        yield Issue(line=1, rule="json-depth", message="It is nested too deeply")
    for name in twice:
        yield Issue(line=1, rule="json-duplicate", message=f"An object has “{_shown(name)}” more than once")


def _plain(text: str) -> Iterator[Issue]:
    for n, line in enumerate(text.splitlines(), 1):
        if line != line.rstrip():
            yield Issue(line=n, rule="trailing-space", message="It ends with spaces")


def _markdown(text: str) -> Iterator[Issue]:
    lines, fences = _without_code(text.splitlines())
    yield from _links(lines)
    yield from _headings(lines)
    if fences:
        yield Issue(line=fences, rule="code-open", message="The code block that begins here has no end")


def _without_code(lines: list[str]) -> tuple[list[str], int]:
    """The lines with code blocks marked as text, and where one begins that does not end."""
    kept: list[str] = []
    fence, began = "", 0
    for n, line in enumerate(lines, 1):
        marked = _FENCE.match(line)
        if not fence and marked:
            fence, began = marked[1], n
            kept.append("code")
        elif fence:
            if marked and marked[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            kept.append("code")
        else:
            kept.append(re.sub(r"`[^`]*`", "code", line))
    return kept, began if fence else 0


def _links(lines: list[str]) -> Iterator[Issue]:
    anchors = {_anchor(heading[1]) for line in lines if (heading := _heading(line))}
    defined = {found[1].lower() for line in lines if (found := _DEFINITION.match(line))}
    for n, line in enumerate(lines, 1):
        for found in _LINK.finditer(line):
            target = found[1]
            if not target:
                yield Issue(line=n, rule="link-empty", message="A link leads nowhere")
            elif target.startswith("#") and target[1:].lower() not in anchors:
                yield Issue(line=n, rule="link-anchor", message=f"No heading has the anchor {target[:100]}")
            elif re.match(r"https?:", target) and not re.match(r"https?://[^/\s.]+(\.[^/\s.]+)*([:/?#]|$)", target):
                yield Issue(line=n, rule="link-broken", message=f"{target[:100]} is no web address")
        for found in _REFERENCE.finditer(line):
            if found[1].lower() not in defined:
                yield Issue(line=n, rule="link-undefined", message=f"[{found[1][:100]}] is not defined")


def _headings(lines: list[str]) -> Iterator[Issue]:
    level, seen = 0, set()
    last: tuple[int, int] | None = None
    for n, line in enumerate(lines, 1):
        heading = _heading(line)
        if heading is None:
            if line.strip():
                last = None
            continue
        depth, title = heading
        if not title:
            yield Issue(line=n, rule="heading-empty", message="A heading has no text")
        elif title.lower() in seen:
            yield Issue(line=n, rule="heading-duplicate", message=f"“{title[:100]}” is a heading already")
        seen.add(title.lower())
        if level and depth > level + 1:
            yield Issue(line=n, rule="heading-level", message=f"It goes from level {level} to level {depth}")
        if last is not None and depth <= last[1]:
            yield Issue(line=last[0], rule="section-empty", message="The section has nothing in it")
        level, last = depth, (n, depth)
    if last is not None:
        yield Issue(line=last[0], rule="section-empty", message="The section has nothing in it")


def _heading(line: str) -> tuple[int, str] | None:
    """The level and the text of a heading (CommonMark's ATX, with the `#` that may close it)."""
    marked = _HEADING.match(line)
    if marked is None:
        return None
    title = line[marked.end() :].strip()
    without = title.rstrip("#")
    closed = without == "" or without.endswith((" ", "\t"))
    return len(marked[1]), without.rstrip() if closed else title


def _anchor(title: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-")


def _told(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, line {error.lineno}"
    return str(error) if isinstance(error, ValueError) else "nested too deeply"


def _shown(name: str) -> str:
    return name[:100].encode(errors="backslashreplace").decode()
