"""Which parts a workbook has, and where they are."""

import posixpath
from dataclasses import dataclass
from urllib.parse import unquote

from quintet.imports.xlsx.archive import Archive
from quintet.imports.xlsx.errors import UnreadableWorkbookError, damaged
from quintet.imports.xlsx.markup import Attributes, Markup

_MAX_PART = 16 * 1024**2
_MAX_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class Parts:
    """Names of parts: of the visible worksheets in their order, and of what is common to them, if it is there."""

    sheets: list[tuple[str, str]]
    """What each is called, and its part."""
    strings: str | None
    styles: str | None
    date1904: bool


def parts_of(archive: Archive) -> Parts:
    """Read the relationships of the package and its workbook."""
    if "_rels/.rels" not in archive:
        raise UnreadableWorkbookError("The file is a zip archive, but not an Excel workbook (.xlsx).")
    workbook = next((part for kind, part in _relationships(archive, "").values() if kind == "officeDocument"), None)
    if workbook is None:
        raise UnreadableWorkbookError("The file is not an Excel workbook (.xlsx), whatever its name is.")
    if workbook.lower().endswith(".bin"):
        raise UnreadableWorkbookError(
            "The file is a binary workbook (.xlsb). Save it as an Excel workbook (.xlsx) and try again."
        )
    ids: dict[str, str] = {}
    date1904 = False

    def properties(attributes: Attributes) -> None:
        nonlocal date1904
        date1904 = attributes.get("date1904") in ("1", "true")

    def sheet(attributes: Attributes) -> None:
        if attributes.get("state", "visible") == "visible":
            id_ = next((value for name, value in attributes.items() if name.endswith(":id")), "")
            ids[id_] = attributes.get("name", "")[:100]
            _bound(len(ids))

    tree = {"": ["workbook"], "workbook": ["workbookPr", "sheets"], "sheets": ["sheet"]}
    _read(archive, workbook, Markup(tree, opened={"workbookPr": properties, "sheet": sheet}))
    relationships = _relationships(archive, workbook)
    if missing := [id_ for id_ in ids if id_ not in relationships]:
        raise damaged(f"a sheet ({missing[0][:100]}) is missing")
    named = dict(relationships.values())
    sheets = [(name, *relationships[id_]) for id_, name in ids.items()]
    return Parts(
        sheets=[(name, part) for name, kind, part in sheets if kind == "worksheet"],
        strings=named.get("sharedStrings"),
        styles=named.get("styles"),
        date1904=date1904,
    )


def _relationships(archive: Archive, part: str) -> dict[str, tuple[str, str]]:
    """By id: the last word of the type (transitional and strict types differ before it) and the part's name."""
    folder, name = posixpath.split(part)
    found: dict[str, tuple[str, str]] = {}

    def relationship(attributes: Attributes) -> None:
        if attributes.get("TargetMode") != "External":
            target = posixpath.join("/" + folder, attributes.get("Target", "").replace("\\", "/"))
            target = posixpath.normpath(target).lstrip("/")
            if target not in archive:
                target = unquote(target)
            found[attributes.get("Id", "")] = attributes.get("Type", "").rpartition("/")[2], target
            _bound(len(found))

    tree = {"": ["Relationships"], "Relationships": ["Relationship"]}
    _read(archive, posixpath.join(folder, "_rels", f"{name}.rels"), Markup(tree, opened={"Relationship": relationship}))
    return found


def _read(archive: Archive, part: str, markup: Markup) -> None:
    for block in archive.blocks(part, limit=_MAX_PART):
        markup.feed(block)
    markup.feed(b"", last=True)


def _bound(count: int) -> None:
    if count > _MAX_ENTRIES:
        raise UnreadableWorkbookError(f"The workbook has more than {_MAX_ENTRIES:,} parts.")
