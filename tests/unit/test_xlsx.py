"""Workbooks are read as Excel shows them."""

import datetime as dt
import io
import math
from typing import Any

import pytest
import xlsxwriter  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.workbooks import BLOCK, MAIN, STRICT, STRICT_R, R, cells, parts, read, relationships

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffe\uffff"), max_size=40
) | st.sampled_from(
    ["_x0041_", "_x005F_", "a\r\nb", "  spaces  ", "<&>\"'", "]]>", "=1+1", "0123", "\x01", "😀", "_x", "\t"]
)
VALUE = (
    st.none()
    | TEXT
    | st.booleans()
    | st.integers(-(10**15) + 1, 10**15 - 1)
    | st.floats(-1e300, 1e300)
    | st.datetimes(dt.datetime.fromisoformat("1900-03-01")).map(lambda at: at.replace(microsecond=0))
    | st.dates(dt.date(1900, 3, 1))
)


def shown(value: Any) -> str:
    """What is to be read of a value that was written."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def written(table: list[list[Any]], **options: Any) -> bytes:
    """The workbook that XlsxWriter makes of a table."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file, {"in_memory": True, **options})
    formats = {dt.date: book.add_format({"num_format": "d mmm yyyy"}), dt.datetime: book.add_format({"num_format": 22})}
    page = book.add_worksheet()
    for line, row in enumerate(table):
        for column, value in enumerate(row):
            if isinstance(value, dt.date):
                page.write_datetime(line, column, value, formats[type(value)])
            elif isinstance(value, str) and value:
                page.write_string(line, column, value)
            elif value is not None:
                page.write(line, column, value)
    book.close()
    return file.getvalue()


@settings(deadline=None, max_examples=150)
@given(table=st.lists(st.lists(VALUE, max_size=6), max_size=6), inline=st.booleans(), date1904=st.booleans())
def test_given_any_table_when_written_by_xlsxwriter_then_it_is_read_as_it_was(
    table: list[list[Any]], inline: bool, date1904: bool
) -> None:
    if date1904:
        table = [
            [value for value in row if not isinstance(value, dt.date) or value.year > 1904]  # those before are negative
            for row in table
        ]
    found = read(written(table, constant_memory=inline, date_1904=date1904))
    expected = []
    for line, row in enumerate(table, 1):
        while row and shown(row[-1]) == "":
            row.pop()
        if row:
            expected.append((line, row))
    assert [line for line, _ in found] == [line for line, _ in expected]
    for (_, texts), (_, values) in zip(found, expected, strict=True):
        assert len(texts) == len(values)
        for text, value in zip(texts, values, strict=True):
            if isinstance(value, float):
                assert math.isclose(float(text), value, rel_tol=1e-14)
            else:
                assert text == shown(value)


def test_given_rows_and_strings_over_many_blocks_then_each_is_read_once() -> None:
    rows = [[f"{row} & {column}" for column in range(8)] for row in range(20_000)]
    found = read(written(rows))
    assert [cells for _, cells in found] == rows
    assert [line for line, _ in found] == list(range(1, 20_001))


def test_given_each_kind_of_cell_then_its_text_is_what_excel_shows() -> None:
    data = (
        '<c t="s"><v>0</v></c><c t="s"><v>1</v></c><c t="inlineStr"><is><t>in</t><rPh><t>no</t></rPh></is></c>'
        '<c t="b"><v>1</v></c><c t="b"><v>0</v></c><c t="e"><f>NA()</f><v>#N/A</v></c>'
        '<c t="str"><f>A1</f><v>a_x000D_\nb</v></c>'
        '<c><f>1+1</f><v>2</v></c><c><f>1+1</f></c><c t="str"><f>""</f><v></v></c>'
        '<c t="d"><v>2026-11-21T09:30:00Z</v></c><c t="d"><v>2026-11-21T00:00:00.000</v></c>'
        "<c><v>1</v><extLst><ext><v>no</v></ext></extLst></c>"
    )
    strings = (
        "<si><r><rPr><b/></rPr><t>rich </t></r><r><t xml:space='preserve'>text </t></r><rPh><t>no</t></rPh></si>"
        "<si>\n<t>_x0041_ &amp; _x005F_x0041_ _xD83D__xDE00_ _xD83D_ _x0000_</t>\n<phoneticPr fontId='1'/></si>"
    )
    assert cells(data, strings=strings) == [
        *("rich text ", "A & _x0041_ 😀 \ufffd _x0000_", "in", "TRUE", "FALSE", "#N/A", "a\r\nb", "2", "", ""),
        *("2026-11-21T09:30:00", "2026-11-21", "1"),
    ]


def test_given_sparse_rows_and_cells_then_each_is_in_its_place() -> None:
    one = "<v>1</v></c>"
    data = (
        f'<row><c>{one}<c r="C1">{one}<c>{one}</row><row r="5"><c r="B5"/></row>'
        f'<row><c/><c>{one}<c r="E6" s="1"/></row><row r="1048576"><c r="ALL1048576">{one}</row>'
    )
    assert read(parts(data)) == [
        (1, ["1", "", "1", "1"]),
        (6, ["", "1"]),
        (1048576, [*[""] * 999, "1"]),
    ]


def test_given_merged_cells_then_the_first_has_the_value() -> None:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    page = book.add_worksheet()
    page.merge_range("A1:C2", "merged")
    page.write("D2", "x")
    book.close()
    assert read(file.getvalue()) == [(1, ["merged"]), (2, ["", "", "", "x"])]


def test_given_several_sheets_then_it_is_the_first_visible_one_with_content() -> None:
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    pages = [book.add_worksheet() for _ in range(5)]
    book.add_chartsheet()
    pages[0].write(0, 0, "hidden")
    pages[1].write(0, 0, "very hidden")
    pages[2].write_blank(0, 0, None, book.add_format({"bold": True}))
    pages[3].write(3, 1, "this")
    pages[4].write(0, 0, "other")
    pages[4].activate()
    pages[0].hide()
    pages[1].very_hidden()
    book.close()
    assert read(file.getvalue()) == [(4, ["", "this"])]


def test_given_no_content_then_there_are_no_rows() -> None:
    assert read(parts()) == []
    without = parts()
    without["xl/worksheets/sheet1.xml"] = f'<worksheet xmlns="{MAIN}"><sheetData/></worksheet>'
    assert read(without) == []


DATA = '<row r="1"><c r="A1" t="s"><v>0</v></c></row>'


@pytest.mark.parametrize(
    "target",
    [
        "/xl/worksheets/sheet1.xml",
        "worksheets\\sheet1.xml",
        "WORKSHEETS/Sheet1.XML",
        "../xl/./worksheets/sheet1.xml",
        "/xl/worksheets/sheet%31.xml",
    ],
)
def test_given_targets_written_in_other_ways_then_the_sheet_is_found(target: str) -> None:
    book = parts(DATA, strings="<si><t>é</t></si>")
    book["xl/_rels/workbook.xml.rels"] = relationships(
        ("rId1", "worksheet", target), ("rId2", "sharedStrings", "\\xl\\sharedStrings.xml")
    )
    assert read(book) == [(1, ["é"])]


def test_given_the_strict_variant_then_it_is_read() -> None:
    book = parts(DATA, strings="<si><t>é</t></si>").items()
    strict = {name: str(part).replace(MAIN, STRICT).replace(R, STRICT_R) for name, part in book}
    assert read(strict) == [(1, ["é"])]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "iso-8859-1", "cp1252"])
def test_given_another_encoding_then_it_is_read(encoding: str) -> None:
    book = parts(BLOCK + DATA, strings=BLOCK + "<si><t>é</t></si>")
    for part in ("xl/sharedStrings.xml", "xl/worksheets/sheet1.xml"):
        declared = encoding.removesuffix("-sig")
        book[part] = f'<?xml version="1.0" encoding="{declared}"?>{book[part]!s}'.encode(encoding)
    assert read(book) == [(1, ["é"])]


def test_given_backslashes_in_the_names_of_parts_then_they_are_found() -> None:
    book = {name.replace("/", "\\").upper(): part for name, part in parts(DATA, strings="<si><t>é</t></si>").items()}
    assert read(book) == [(1, ["é"])]


def test_given_a_workbook_without_strings_and_styles_then_it_is_read() -> None:
    book = parts('<row><c s="1"><v>1</v></c></row>')
    del book["xl/sharedStrings.xml"], book["xl/styles.xml"]
    assert read(book) == [(1, ["1"])]
