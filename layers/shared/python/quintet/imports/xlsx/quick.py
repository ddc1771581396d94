"""A quick way through XML as spreadsheet programs write it; what is written in another way goes to expat.

Nearly all of a workbook is a long run of rows, or of strings, each written like the other. A regular expression reads
such a run several times as fast as expat calls us for each of its tags. Expat remains the authority: it says where
such runs may stand, it reads every block with something unusual in it, and what is refused is refused by it.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from quintet.imports.xlsx.markup import Markup

_NOT_PLAIN = bytes({*range(32)} - {*b"\t\n"})  # forbidden, or (carriage return) read as something else
_ENTITY = re.compile(r"&(?:(amp|lt|gt|quot|apos);|#(\d{1,7});|#x([0-9A-Fa-f]{1,6});|)")
_ENTITIES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def stream(
    blocks: Iterable[bytes], markup: Markup, *, parent: str, child: str, read: Callable[[str], bool]
) -> Iterator[None]:
    """Feed a whole document to `markup`, pausing after each block, but for runs of children of `parent`.

    Such a run, of elements `child`, is offered to `read` first, without the prefixes of names. It either says that it
    has read all of it, or leaves things as they were.
    """
    rest = b""
    for block in blocks:
        joined = rest + block
        last = f"</{markup.prefix}{child}>".encode()
        end = joined.rfind(last) + len(last)
        if end < len(last):
            end = len(joined)
        run, rest = joined[:end], joined[end:]
        text = _plain(run, markup.prefix.encode()) if markup.utf8 and markup.is_directly_in(parent) else None
        if text is None or not read(text):
            markup.feed(run)
        yield
    markup.feed(rest, last=True)
    yield


def resolved(text: str) -> str:
    """The text with its references to characters resolved. Raises ValueError for what expat has to judge."""
    return _ENTITY.sub(_character, text)


def _plain(run: bytes, prefix: bytes) -> str | None:
    if len(run.translate(None, _NOT_PLAIN)) != len(run):
        return None
    if prefix:
        run = run.replace(b"<" + prefix, b"<").replace(b"</" + prefix, b"</")
    try:
        return run.decode()
    except UnicodeDecodeError:
        return None


def _character(match: re.Match[str]) -> str:
    name, decimal, hexadecimal = match.groups()
    if name:
        return _ENTITIES[name]
    code = int(decimal or hexadecimal or "0", 10 if decimal else 16)
    if (code < 32 and code not in (9, 10, 13)) or 0xD800 <= code < 0xE000 or code in (0xFFFE, 0xFFFF):
        raise ValueError(match[0])
    return chr(code)
