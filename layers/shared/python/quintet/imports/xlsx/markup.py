"""XML by expat, for files from anywhere: no DTD, and bounds on whatever the parser would keep in memory."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.parsers import expat

from quintet.imports.xlsx.errors import UnreadableWorkbookError, damaged

Attributes = dict[str, str]

_MAX_TOKEN = 1024**2
"""Bytes of a tag or comment: expat keeps it until it is whole."""
_MAX_NAMES = 10_000
"""Names of elements and attributes: expat keeps each it has seen."""
_MAX_DEPTH = 100


class _Element:
    """What becomes of the elements in one place of the tree."""

    __slots__ = ("children", "closed", "name", "opened", "seen", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.children: dict[str, _Element] = {}
        self.seen: dict[str, _Element] = {}  # the same by their names with prefix
        self.opened: Callable[[Attributes], None] | None = None
        self.closed: Callable[[], None] | None = None
        self.text: Callable[[str], None] | None = None


_OTHER = _Element("")  # of no interest, and nor is what is in it


class Markup:
    """Tells of the elements of one XML document as it is fed.

    Elements go by their local name: the few that matter are known by where they stand, and writers bind the namespaces
    (transitional and strict) to prefixes of their own or to none.
    """

    def __init__(
        self,
        tree: Mapping[str, Iterable[str]],
        *,
        opened: Mapping[str, Callable[[Attributes], None]] | None = None,
        closed: Mapping[str, Callable[[], None]] | None = None,
        text: Mapping[str, Callable[[str], None]] | None = None,
    ) -> None:
        """`tree` names the elements of interest in each, beginning with "" for the document.

        By their names, `opened` and `closed` are called for them, `text` with the pieces of text directly in them.
        What these raise ends the feeding.
        """
        elements = {name: _Element(name) for names in tree.values() for name in names} | {"": _Element("")}
        for name, element in elements.items():
            element.children = {child: elements[child] for child in tree.get(name, ())}
            element.opened = (opened or {}).get(name)
            element.closed = (closed or {}).get(name)
            element.text = (text or {}).get(name)
        self._root = elements[""]
        self._open = [self._root]
        self._fed = 0
        self._cdata = False
        self._names: dict[str, str] = {}
        self.utf8 = True
        """Nothing but UTF-8 was declared."""
        self.prefix = ""
        """How names in the document begin: `x:`, or not at all."""
        parser = self._parser = expat.ParserCreate(intern=self._names)
        parser.buffer_text = True
        parser.buffer_size = 64 * 1024
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.StartCdataSectionHandler = lambda: setattr(self, "_cdata", True)
        parser.EndCdataSectionHandler = lambda: setattr(self, "_cdata", False)
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, block: bytes, *, last: bool = False) -> None:
        """Parse some more. Raises `UnreadableWorkbookError`."""
        try:
            self._parser.Parse(block, last)
        except expat.ExpatError as error:
            raise damaged(f"its XML is broken ({expat.ErrorString(error.code)})") from error
        except (ValueError, LookupError) as error:  # an encoding that Python or expat does not know
            raise damaged("its XML is in an unknown encoding") from error
        self._fed += len(block)
        if self._fed - self._parser.CurrentByteIndex > _MAX_TOKEN or len(self._names) > _MAX_NAMES:
            raise damaged("its XML is not what a spreadsheet has")

    def is_directly_in(self, name: str) -> bool:
        """What was fed ends inside this element, between its children, and in no tag, comment or CDATA section."""
        return self._open[-1].name == name and self._parser.CurrentByteIndex == self._fed and not self._cdata

    def _start(self, name: str, attributes: Attributes) -> None:
        element = self._open[-1].seen.get(name) or self._found(name)
        self._open.append(element)
        if element.opened:
            element.opened(attributes)

    def _found(self, name: str) -> _Element:
        parent = self._open[-1]
        prefix, colon, local = name.rpartition(":")
        element = parent.children.get(local)
        if parent is self._root:
            if element is None:
                raise UnreadableWorkbookError("The file is not an Excel workbook (.xlsx), whatever its name is.")
            self.prefix = prefix + colon
        if element:
            parent.seen[name] = element
        elif len(self._open) > _MAX_DEPTH:
            raise damaged("its XML is nested too deeply")
        return element or _OTHER

    def _end(self, _: str) -> None:
        if closed := self._open.pop().closed:
            closed()

    def _characters(self, text: str) -> None:
        if call := self._open[-1].text:
            call(text)

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self.utf8 = encoding is None or encoding.lower() in ("utf-8", "utf8")

    def _doctype(self, *_: Any) -> None:
        raise UnreadableWorkbookError("The workbook has a document type definition, which Excel never writes.")
