"""Numbers in cells are read as what their formats make of them."""

from xml.sax.saxutils import quoteattr

import pytest

from tests.support.workbooks import cells


@pytest.mark.parametrize(
    ("stored", "text"),
    {
        "1.0": "1",
        "4.15551234E10": "41555123400",
        "4.9151234567890002E+12": "4915123456789",
        "0.1": "0.1",
        "0.30000000000000004": "0.3",
        "-0": "0",
        "007": "7",
        "+5": "5",
        "1E+20": "100000000000000000000",
        "1E+21": "1E+21",
        "1.5E-5": "0.000015",
        "1.5E-10": "1.5E-10",
        "1E999": "1E999",
        "nan": "nan",
        "1_000": "1_000",
        "٣": "٣",
        " 12 ": "12",
    }.items(),
)
def test_given_a_number_then_it_is_written_as_a_person_would(stored: str, text: str) -> None:
    assert cells(f"<c><v>{stored}</v></c>") == [text]


@pytest.mark.parametrize(
    ("code", "serial", "text"),
    [
        (14, "46347", "2026-11-21"),
        (14, "46347.9", "2026-11-21"),
        (22, "46347.395833333336", "2026-11-21T09:30:00"),
        (22, "46347.99999999999", "2026-11-22T00:00:00"),
        (20, "0.39583333333333331", "09:30:00"),
        (20, "46347.5", "2026-11-21T12:00:00"),
        (46, "1.5", "36:00:00"),
        (14, "1", "1900-01-01"),
        (14, "59", "1900-02-28"),
        (14, "60", "1900-02-29"),
        (14, "61", "1900-03-01"),
        (14, "2958465", "9999-12-31"),
        (14, "2958466", "2958466"),
        (14, "-1", "-1"),
        (14, "1E999", "1E999"),
        (14, "text", "text"),
        (31, "46347", "2026-11-21"),
        (0, "46347", "46347"),
        (1, "46347", "46347"),
        ("yyyy\\-mm\\-dd;@", "46347", "2026-11-21"),
        ("[$-409]d-mmm-yy h:mm AM/PM;@", "46347.5", "2026-11-21T12:00:00"),
        ("[$-F800]dddd, mmmm dd, yyyy", "46347", "2026-11-21"),
        ("mmmm", "46347", "2026-11-21"),
        ("mm:ss.0", "0.01", "00:14:24"),
        ("[mm]:ss", "0.5", "12:00:00"),
        ('0 "days"', "46347", "46347"),
        ("[Red]0.00;[Blue]-0.00", "46347", "46347"),
        ("General", "46347", "46347"),
        ("0.00E+00", "46347", "46347"),
        ("00000", "1234", "01234"),
        ("0000\\ 000\\ 000", "412345678", "0412345678"),
        ("0000000000", "1.5", "1.5"),
    ],
)
def test_given_a_number_format_then_it_decides_what_the_number_is(code: int | str, serial: str, text: str) -> None:
    number = code if isinstance(code, int) else 164
    formats = "" if isinstance(code, int) else f'<numFmt numFmtId="164" formatCode={quoteattr(code)}/>'
    styles = f'<xf numFmtId="0"/><xf numFmtId="{number}"/>'
    assert cells(f'<c s="1"><v>{serial}</v></c>', formats=formats, styles=styles) == [text]


def test_given_the_1904_system_then_days_count_from_there() -> None:
    data = "".join(f'<c s="{style}"><v>{serial}</v></c>' for serial in ("0", "44885.5") for style in (0, 1))
    expected = ["1904-01-01", "00:00:00", "2026-11-21", "2026-11-21T12:00:00"]
    styles = '<xf numFmtId="14"/><xf numFmtId="20"/>'
    for value in ("1", "true"):
        assert cells(data, styles=styles, properties=f'date1904="{value}"') == expected
