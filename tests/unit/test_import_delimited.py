"""Delimited text, however it is written and however it is broken."""

import csv
import io
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quintet.imports.delimited import MAX_UNCLOSED, DelimitedText
from quintet.imports.tables import MAX_CELL, Row, UnreadableTableError

CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufeff"), max_size=12)
HEADER = ["Name", "E-Mail", "Telefon"]


def read(content: bytes) -> list[Row]:
    return list(DelimitedText(io.BytesIO(content)))


def written(rows: list[list[str]], encoding: str = "utf-8", **options: Any) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, **options).writerows(rows)
    return text.getvalue().encode(encoding)


@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3).filter(any), min_size=1, max_size=20),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
@settings(max_examples=300, deadline=None)
def test_given_any_table_however_written_then_it_is_read_as_it_was(
    rows: list[list[str]], delimiter: str, encoding: str, end: str
) -> None:
    # GIVEN enough usual rows to show the delimiter
    usual = [HEADER] + [["Ann", "ann@example.com", "+1 212 555 0100"]] * 40
    breaks = any("\r" in cell or "\n" in cell for row in rows for cell in row)
    quoting = csv.QUOTE_ALL if breaks else csv.QUOTE_MINIMAL  # before Python 3.13 some line breaks are not quoted
    content = written(usual + rows, encoding, delimiter=delimiter, lineterminator=end, quoting=quoting)
    table = DelimitedText(io.BytesIO(content))
    assert table.dialect.delimiter == delimiter
    got = list(table)
    assert [row.cells for row in got] == usual + rows
    assert all(row.problem is None for row in got)


@pytest.mark.parametrize(
    ("content", "encoding", "text"),
    [
        ("näme;x\nmüller;1\n".encode("cp1252"), "cp1252", "müller"),
        ("näme;x\nmüller;1\n".encode("utf-16-be"), "utf-16-be", "müller"),
        ("näme;x\n€uro;1\n".encode("cp1252"), "cp1252", "€uro"),
        ("näme;x\n名簿;1\n".encode(), "utf-8", "名簿"),
    ],
)
def test_given_an_encoding_then_it_is_found(content: bytes, encoding: str, text: str) -> None:
    table = DelimitedText(io.BytesIO(content))
    assert table.format["encoding"] == encoding
    assert list(table)[1].cells[0] == text


def test_given_a_file_put_together_from_two_encodings_then_both_are_read() -> None:
    content = b"a,b\n" + "é,1\n".encode() * 20_000 + "é,2\n".encode("cp1252")
    assert read(content)[-1].cells == ["é", "2"]


def test_given_a_quote_that_is_not_closed_then_it_costs_its_own_row_and_no_other() -> None:
    content = b'a,b\n1,2\n3,"open\n' + b"".join(b"%d,x\n" % n for n in range(10_000))
    rows = read(content)
    assert [row.line for row in rows if row.problem] == [3]
    assert len(rows) == 2 + 1 + 10_000
    assert rows[-1] == Row(10_003, ["9999", "x"])


def test_given_a_quote_that_is_open_at_the_end_then_that_row_is_bad() -> None:
    rows = read(b'a,b\n1,2\n3,"4\n5,6\n')
    assert [(row.line, row.problem is None) for row in rows] == [(1, True), (2, True), (3, False), (4, True)]


def test_given_too_many_open_quotes_then_the_file_is_refused() -> None:
    with pytest.raises(UnreadableTableError, match="never close"):
        read(b"a,b\n" + b'1,"2\n' + b'x,"y,z\n' * (3 * MAX_UNCLOSED))


def test_given_a_line_break_in_quotes_then_the_row_has_the_line_it_begins_on() -> None:
    assert read(b'a,b\n"x\ny",1\n2,3\n') == [Row(1, ["a", "b"]), Row(2, ["x\ny", "1"]), Row(4, ["2", "3"])]


def test_given_mixed_line_ends_and_blank_lines_then_rows_are_rows() -> None:
    assert [row.cells for row in read(b"a,b\r\n1,2\r3,4\n\n,\n5,6")] == [["a", "b"], ["1", "2"], ["3", "4"], ["5", "6"]]


def test_given_a_line_that_says_the_delimiter_then_it_is_no_row() -> None:
    table = DelimitedText(io.BytesIO(b'sep=;\r\nName;E-mail\r\nAnn, "Lee";ann@example.com\r\n'))
    assert table.dialect.delimiter == ";"
    assert [(row.line, row.cells[1]) for row in table] == [(2, "E-mail"), (3, "ann@example.com")]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_given_as_many_titles_as_rows_then_the_delimiter_is_that_of_the_rows(delimiter: str) -> None:
    titles = b"Customers\nof 2026, all\nas of 1 May\n"
    rows = read(titles + b"Name;E-Mail\nAnn;ann@example.com\nBob;bob@example.com\n".replace(b";", delimiter.encode()))
    assert [len(row.cells) for row in rows] == [1, 1, 1, 2, 2, 2]


def test_given_a_title_when_rows_have_line_breaks_then_they_are_read() -> None:
    rows = read(b"Customers of 2026\nName;Note\n" + b'Ann;"two\nlines"\n' * 20)
    assert [row.cells for row in rows] == [["Customers of 2026"], ["Name", "Note"], *[["Ann", "two\nlines"]] * 20]
    assert all(row.problem is None for row in rows)


@pytest.mark.parametrize("content", [b"", b"\n\n\r\n", b"   \n", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_given_nothing_then_it_is_refused(content: bytes) -> None:
    with pytest.raises(UnreadableTableError, match="no rows"):
        read(content)


def test_given_a_cell_of_any_size_then_only_its_row_is_bad_and_memory_stays_small() -> None:
    # GIVEN a line of 30 MB, in quotes and not
    huge = b"x" * 30_000_000
    contents = [b"a,b\n1," + huge + b"\n3,4\n", b'a,b\n1,"' + huge + b'"\n3,4\n']
    for content in contents:
        source = io.BytesIO(content)
        tracemalloc.start()
        rows = list(DelimitedText(source))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert [row.problem is not None for row in rows] == [False, True, False]
        assert rows[-1].cells == ["3", "4"]
        assert all(len(cell) <= MAX_CELL for row in rows for cell in row.cells)
        assert peak < 16_000_000


def test_given_a_nul_character_then_the_row_still_has_its_cells() -> None:
    assert read(b"a,b\n1,x\0y\n2,3\n")[1].cells == ["1", "x\0y"]


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_given_rubbish_then_it_is_rows_or_refused(content: bytes) -> None:
    try:
        rows = read(content)
    except UnreadableTableError:
        return
    assert all(row.line >= 1 for row in rows)
    assert [row.line for row in rows] == sorted({row.line for row in rows})
