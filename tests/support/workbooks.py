"""Workbooks (.xlsx) put together by hand, for what no writer writes."""

import io
import zipfile
from collections.abc import Mapping

from quintet.imports.xlsx import rows

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
STRICT = "http://purl.oclc.org/ooxml/spreadsheetml/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STRICT_R = "http://purl.oclc.org/ooxml/officeDocument/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"

EXPAT_ONLY = "<!-- -->"
"""In a row or among strings: expat has to read the block it is in."""
BLOCK = " " * 128 * 1024
"""After it, rows or strings stand in a block of their own."""


def relationships(*targets: tuple[str, str, str]) -> str:
    """Relationships of id, type and target."""
    entries = "".join(
        f'<Relationship Id="{id_}" Type="{R}/{kind}" Target="{target}"/>' for id_, kind, target in targets
    )
    return f'<?xml version="1.0"?><Relationships xmlns="{PACKAGE}">{entries}</Relationships>'


def sheet(data: str) -> str:
    """A worksheet of these rows."""
    return f'<worksheet xmlns="{MAIN}"><dimension ref="A1"/><sheetData>{data}</sheetData><sheetCalcPr/></worksheet>'


def parts(
    data: str = "", *, strings: str = "", formats: str = "", styles: str = "", properties: str = ""
) -> dict[str, str | bytes]:
    """The parts of a workbook with one sheet: rows, `si`s, `numFmt`s, `xf`s, attributes of `workbookPr`."""
    return {
        "_rels/.rels": relationships(("rId1", "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{R}"><workbookPr {properties}/><sheets>'
        '<sheet name="One" sheetId="1" r:id="rId1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relationships(
            ("rId1", "worksheet", "worksheets/sheet1.xml"),
            ("rId2", "sharedStrings", "sharedStrings.xml"),
            ("rId3", "styles", "styles.xml"),
        ),
        "xl/sharedStrings.xml": f'<sst xmlns="{MAIN}">{strings}</sst>',
        "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><numFmts>{formats}</numFmts><cellStyleXfs><xf numFmtId="14"/>'
        f"</cellStyleXfs><cellXfs>{styles}</cellXfs></styleSheet>",
        "xl/worksheets/sheet1.xml": sheet(data),
    }


def packed(parts: Mapping[str, str | bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The archive of parts."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", compression) as written:
        for name, content in parts.items():
            written.writestr(name, content)
    return archive.getvalue()


def read(content: bytes | Mapping[str, str | bytes]) -> list[tuple[int, list[str]]]:
    """All the rows of a workbook, given as its file or its parts."""
    return list(rows(io.BytesIO(content if isinstance(content, bytes) else packed(content))))


def cells(data: str, **others: str) -> list[str]:
    """The cells of the only row of a workbook."""
    [(_, found)] = read(parts(f"<row>{data}</row>", **others))
    return found
