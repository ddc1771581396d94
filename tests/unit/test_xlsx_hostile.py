"""Workbooks that are broken, or made to break what reads them, are refused with a reason."""

import io
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quintet.imports.xlsx import UnreadableWorkbookError
from tests.support.workbooks import BLOCK, MAIN, packed, parts, read, relationships, sheet

ROW = '<row r="1"><c r="A1" t="s"><v>0</v></c></row>'
STRING = "<si><t>one</t></si>"
SHEET, STRINGS, BOOK = "xl/worksheets/sheet1.xml", "xl/sharedStrings.xml", "xl/workbook.xml"
WHOLE = parts(ROW, strings=STRING)
MB = 1024**2


def refused(content: bytes | dict[str, str | bytes]) -> str:
    """Why the workbook is refused."""
    with pytest.raises(UnreadableWorkbookError) as raised:
        read(content)
    return str(raised.value)


def compound(entry: str) -> bytes:
    """A compound file (MS-CFB) whose directory, in the second sector, has an entry of this name."""
    header = bytearray(512)
    header[:8] = bytes.fromhex("D0CF11E0A1B11AE1")
    struct.pack_into("<H", header, 30, 9)
    struct.pack_into("<I", header, 48, 1)
    return bytes(header) + bytes(512) + entry.encode("utf-16-le").ljust(512, b"\0")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not an Excel workbook"),
        (b"PK", "cut off"),
        (b"%PDF-1.7", "not an Excel workbook"),
        (compound("EncryptedPackage"), "protected by a password"),
        (compound("Workbook"), "Excel 97-2003"),
        (compound("")[:40], "Excel 97-2003"),
        (packed({"word/document.xml": "<x/>"}), "a zip archive, but not"),
        (packed({"contacts.xlsx": packed(WHOLE)}), "a zip archive, but not"),
        (packed({"_rels/.rels": relationships()}), "not an Excel workbook"),
        (packed({"_rels/.rels": relationships(("a", "officeDocument", "xl/workbook.bin"))}), ".xlsb"),
        (packed({**WHOLE, BOOK: "<document/>"}), "not an Excel workbook"),
        (packed(WHOLE, compression=zipfile.ZIP_LZMA), "compressed in a way"),
        (packed(WHOLE, compression=zipfile.ZIP_BZIP2), "compressed in a way"),
    ],
)
def test_given_something_else_then_it_says_what_it_is(content: bytes, reason: str) -> None:
    assert reason in refused(content)


@pytest.mark.parametrize("part", [BOOK, "xl/_rels/workbook.xml.rels", SHEET])
def test_given_a_missing_part_then_it_says_so(part: str) -> None:
    assert "missing" in refused({name: content for name, content in WHOLE.items() if name != part})


def test_given_an_external_sheet_then_it_is_missing() -> None:
    links = str(WHOLE["xl/_rels/workbook.xml.rels"]).replace('sheet1.xml"', 'sheet1.xml" TargetMode="External"')
    assert "missing" in refused({**WHOLE, "xl/_rels/workbook.xml.rels": links})


def test_given_encrypted_entries_then_it_says_so() -> None:
    content = bytearray(packed(WHOLE))
    at = content.index(b"PK\1\2")
    while at >= 0:
        content[at + 8] |= 1
        at = content.find(b"PK\1\2", at + 4)
    assert "protected by a password" in refused(bytes(content))


def test_given_a_file_cut_off_anywhere_then_it_is_refused() -> None:
    content = packed(WHOLE)
    for length in range(2, len(content) - 1, 7):
        refused(content[:length])


def test_given_a_wrong_checksum_then_it_is_refused() -> None:
    content = packed(WHOLE, compression=zipfile.ZIP_STORED)
    assert "cannot be unpacked" in refused(content.replace(b"<sheetCalcPr/>", b"<sheetCalcXx/>"))
    assert "cannot be unpacked" in refused(content.replace(b"<t>one</t>", b"<t>two</t>"))


@settings(deadline=None, max_examples=300)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
    packs=st.booleans(),
)
def test_given_any_changed_bytes_then_it_is_read_or_refused(changes: list[tuple[int, int]], packs: bool) -> None:
    content = bytearray(packed(WHOLE, compression=zipfile.ZIP_DEFLATED if packs else zipfile.ZIP_STORED))
    for at, value in changes:
        content[at % len(content)] = value
    with suppress(UnreadableWorkbookError):  # and nothing else
        read(bytes(content))


@pytest.mark.parametrize("part", [SHEET, STRINGS, BOOK, "xl/styles.xml", "_rels/.rels"])
@pytest.mark.parametrize(
    "definition",
    [
        "<!DOCTYPE a>",
        '<!DOCTYPE a [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;">]>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1/dtd">',
        '<!DOCTYPE a [<!ENTITY % b SYSTEM "file:///etc/passwd"> %b;]>',
    ],
)
def test_given_a_document_type_then_it_is_refused(part: str, definition: str) -> None:
    assert "document type" in refused({**WHOLE, part: definition + str(WHOLE[part])})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ('<row r="1"/><row r="1"/>', "row after row 1"),
        ('<row r="2"/><row r="1"/>', "row after row 2"),
        ('<row r="x"/>', "number x"),
        ('<row r="0"/>', "number 0"),
        ('<row r="1048576"/><row/>', "more than 1,048,576 rows"),
        ('<row r="99999999999999"/>', "row after row 0"),
        ('<row><c r="B1"><v>1</v></c><c r="A1"><v>1</v></c></row>', "row 1, column 1"),
        ('<row><c r="ALM1"><v>1</v></c></row>', "column 1,001 is beyond the 1,000 columns"),
        ('<row><c r="1A"><v>1</v></c></row>', "address 1A"),
        ('<row><c r="ABCD1"><v>1</v></c></row>', "address ABCD1"),
        ('<row><c t="s"><v>1</v></c></row>', "row 1, column 1 has a text that is missing"),
        ('<row><c t="s"><v>-1</v></c></row>', "text that is missing"),
        (f'<row><c t="inlineStr"><is><t>{"x" * 32_768}</t></is></c></row>', "more than 32,767 characters"),
        (f'<row><c t="inlineStr"><is>{"<t>x</t>" * 300_000}</is></c></row>', "more than 32,767 characters"),
        (f"<row><c><v>{'9' * 40_000}</v></c></row>", "more than 32,767 characters"),
        ("<row><c><v>1</v></row>", "XML is broken"),
        ("<row><c><v>&nbsp;</v></c></row>", "XML is broken"),
        ("<row><c><v>\x01</v></c></row>", "XML is broken"),
        ("<a>" * 200 + "</a>" * 200, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("before", ["", BLOCK], ids=["at once", "in a later block"])
def test_given_a_broken_sheet_then_it_says_where(data: str, reason: str, before: str) -> None:
    assert reason in refused(parts(before + data, strings=STRING))


def test_given_a_sheet_that_ends_early_then_it_is_refused() -> None:
    for end in ("", "<row", '<row r="3">', "<!-- ", "<![CDATA[ "):
        assert "XML is broken" in refused({**WHOLE, SHEET: f'<worksheet xmlns="{MAIN}"><sheetData>{ROW}{end}'})


def test_given_rows_in_comments_and_cdata_then_they_are_none() -> None:
    hidden = '<row r="7"><c r="A7"><v>7</v></c></row>'
    for left, right in (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?x ", "?>")):
        data = left + hidden + BLOCK + hidden + BLOCK + right + ROW
        assert read(parts(data, strings=left + STRING + BLOCK + STRING + right + STRING)) == [(1, ["one"])]


@pytest.mark.parametrize("before", ["", BLOCK], ids=["at once", "in a later block"])
@pytest.mark.parametrize("text", ["x" * 32_768, "x" * 10_000_000, "_x0041_" * 40_000], ids=["long", "huge", "escaped"])
def test_given_a_string_longer_than_excel_holds_then_it_is_refused(before: str, text: str) -> None:
    archive = packed(parts(ROW, strings=f"{before}<si><t>{text}</t></si>"))
    assert "more than 32,767 characters" in refused(archive)


def test_given_a_string_as_long_as_excel_holds_then_it_is_read() -> None:
    for text, expected in (("x" * 32_767, "x"), ("_x0041_" * 32_767, "A")):
        assert read(parts(ROW, strings=f"<si><t>{text}</t></si>")) == [(1, [expected * 32_767])]


def test_given_a_bomb_then_it_is_refused_by_what_it_declares() -> None:
    assert "unpacks to far more" in refused(parts(" " * 40 * MB + ROW, strings=STRING))


def test_given_a_bomb_that_declares_less_then_no_more_is_unpacked() -> None:
    content = bytearray(packed(parts(" " * 40 * MB + ROW, strings=STRING)))
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = content.index(signature, content.index(SHEET.encode()) - 100 if offset == 22 else content.index(b"PK\1\2"))
        while SHEET.encode() not in content[at : at + 100]:
            at = content.index(signature, at + 4)
        struct.pack_into("<I", content, at + offset, MB)
    assert "cannot be unpacked" in refused(bytes(content))


def test_given_zip64_then_it_is_read() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in WHOLE.items():
            with archive.open(name, "w", force_zip64=True) as part:
                part.write(str(content).encode())
    assert read(file.getvalue()) == [(1, ["one"])]


def blocks(first: str, repeated: str, count: int, last: str) -> Iterator[bytes]:
    """A long document; `%d` is a number of each repetition."""
    yield first.encode()
    for start in range(0, count, 10_000):
        yield (repeated * 10_000 % tuple(range(start, start + 10_000))).encode()
    yield last.encode()


HEAD = f'<worksheet xmlns="{MAIN}"><sheetData>'
TAIL = "</sheetData></worksheet>"
SST = f'<sst xmlns="{MAIN}">'
MEASURE = """
import sys
from pathlib import Path
from quintet.imports.xlsx import UnreadableWorkbookError, rows
found = 0
try:
    for _ in rows(open(sys.argv[1], "rb")):
        found += 1
except UnreadableWorkbookError as error:
    print(error)
else:
    print(found, "rows")
status = Path("/proc/self/status")
if status.exists():  # on Linux `ru_maxrss` begins with what the parent process had
    print(int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024)
else:  # elsewhere it does not, and macOS has it in bytes
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.parametrize(
    ("part", "document", "expected"),
    [
        (SHEET, (HEAD, "<a%d/>", 2_000_000, TAIL), "not what a spreadsheet has"),
        (SHEET, (HEAD, '<a x%d=""/>', 2_000_000, TAIL), "not what a spreadsheet has"),
        (SHEET, (HEAD, '<a xmlns:x%d="y"/>', 2_000_000, TAIL), "not what a spreadsheet has"),
        (SHEET, (HEAD, "<a>%d", 2_000_000, ""), "nested too deeply"),
        (SHEET, (HEAD + "<!--", "%d", 10_000_000, "-->" + TAIL), "not what a spreadsheet has"),
        (SHEET, (HEAD + '<row spans="', "%d", 10_000_000, '"/>' + TAIL), "not what a spreadsheet has"),
        (SHEET, (HEAD + "<row>", '<c t="b"><v>%d</v></c>', 1_000_000, "</row>" + TAIL), "beyond the 1,000 columns"),
        (SHEET, (HEAD + "<row>", "<c>%d</c>", 1_000_000, "</row>" + ROW.replace("1", "2") + TAIL), "1 rows"),
        (SHEET, (HEAD, "<row><c><v>%d</v></c></row>", 250_000, TAIL), "250000 rows"),
        (STRINGS, (SST + "<si>", "<t></t>%d", 2_000_000, "</si></sst>"), "0 rows"),
        (STRINGS, (SST + STRING, "<si><t>%d unlike any other</t></si>", 1_000_000, "</sst>"), "1 rows"),
        (STRINGS, (SST + STRING, "<si><r><t>%d</t></r></si>", 500_000, "</sst>"), "1 rows"),
    ],
)
def test_given_more_than_memory_should_hold_then_it_takes_none(
    tmp_path: Path, part: str, document: tuple[str, str, int, str], expected: str
) -> None:
    book = {name: content for name, content in WHOLE.items() if name != part}
    file = tmp_path / "workbook.xlsx"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in book.items():
            archive.writestr(name, content)
        with archive.open(part, "w") as written:
            written.writelines(blocks(*document))
    output = subprocess.run(
        [sys.executable, "-c", MEASURE, str(file)], capture_output=True, text=True, check=True, timeout=120
    ).stdout.splitlines()
    assert expected in output[0]
    assert int(output[1]) < 80 * 1024**2


def test_given_a_directory_of_a_million_parts_then_it_is_refused() -> None:
    archive = packed(WHOLE)
    end = archive.rindex(b"PK\5\6")
    start = struct.unpack_from("<I", archive, end + 16)[0]
    directory = archive[start:end] * 4_000
    tail = bytearray(archive[end:])
    struct.pack_into("<I", tail, 12, len(directory))
    assert "cut off, or not a whole" in refused(archive[:start] + directory + bytes(tail))


def test_given_a_sheet_of_another_kind_then_it_is_refused() -> None:
    assert "not an Excel workbook" in refused({**WHOLE, SHEET: sheet(ROW).replace("worksheet", "svg")})
