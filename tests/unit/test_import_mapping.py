"""Which column is which field, and what becomes of a row."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quintet.imports.contacts import InvalidRowError, line_maker
from quintet.imports.mapping import ColumnMap, map_columns, returned
from quintet.imports.tables import MAX_COLUMNS, Row, UnreadableTableError


def mapped(*rows: list[str], asked: dict[str, Any] | None = None) -> ColumnMap:
    table = [Row(number, row) for number, row in enumerate(rows, 1)]
    return map_columns(table, asked)


def fields(*rows: list[str], asked: dict[str, Any] | None = None) -> dict[str, str]:
    columns = mapped(*rows, asked=asked)
    return {name: columns.columns[at] for name, at in columns.fields.items()}


def contact(columns: ColumnMap, cells: list[str], country: str | None = "US") -> list[str | None]:
    """What COPY makes of the row's line."""
    line = line_maker(columns, country)(cells)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    escapes = {"\\t": "\t", "\\n": "\n", "\\r": "\r", "\\b": "\b", "\\f": "\f", "\\v": "\v", "\\\\": "\\"}

    def read(value: str) -> str | None:
        if value == "\\N":
            return None
        parts, rest = "", value
        while rest:
            taken = 2 if rest[:2] in escapes else 1
            parts, rest = parts + escapes.get(rest[:taken], rest[:taken]), rest[taken:]
        return parts

    return [read(value) for value in line[:-1].split("\t")]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (["Name", "E-Mail", "Phone Number"], {"full_name": "Name", "email": "E-Mail", "phone": "Phone Number"}),
        (
            ["first_name", "LAST NAME", "email address"],
            {"first_name": "first_name", "last_name": "LAST NAME", "email": "email address"},
        ),
        (["Vorname", "Name", "Telefon"], {"first_name": "Vorname", "last_name": "Name", "phone": "Telefon"}),
        (["Prénom", "Nom", "Courriel"], {"first_name": "Prénom", "last_name": "Nom", "email": "Courriel"}),
        (["氏名", "メール", "電話番号"], {"full_name": "氏名", "email": "メール", "phone": "電話番号"}),
        (["Customer No.", "Mobile", "Company"], {"external_id": "Customer No.", "phone": "Mobile"}),
        (["氏名", "メールアドレス"], {"full_name": "氏名", "email": "メールアドレス"}),
        (
            ["Naam", "E-mailadres", "Telefoonnummer"],
            {"full_name": "Naam", "email": "E-mailadres", "phone": "Telefoonnummer"},
        ),
        (["Indirizzo e-mail", "Cellulare"], {"email": "Indirizzo e-mail", "phone": "Cellulare"}),
        (["N° de téléphone", "Courriel"], {"phone": "N° de téléphone", "email": "Courriel"}),
        (["Contact", "Contact person", "E-mail"], {"full_name": "Contact person", "email": "E-mail"}),
        (["Name", "Email", "2023", "2026-01-01"], {"full_name": "Name", "email": "Email"}),
    ],
)
def test_given_names_in_several_spellings_then_fields_are_found(header: list[str], expected: dict[str, str]) -> None:
    assert fields(header, ["a", "b", "c"]) == expected


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        (["Name", "Telefon (mobil)"], ["A", "0171 1234567"], {"full_name": "Name", "phone": "Telefon (mobil)"}),
        (["Phone 1", "Phone 2"], ["", "(212) 555-0100"], {"phone": "Phone 2"}),
        (["Phone 1", "Phone 2"], ["(212) 555-0100", "(212) 555-0101"], {"phone": "Phone 1"}),
        (["Phone 1", "Phone 2"], ["", ""], {"phone": "Phone 1"}),
        (["Business Phone", "Mobile Phone"], ["(212) 555-0100", ""], {"phone": "Mobile Phone"}),
        (["E-Mail Firma", "E-Mail privat"], ["a@example.com", ""], {"email": "E-Mail Firma"}),
        (["Mobiltelefon", "Vorname"], ["01711234567", "A"], {"first_name": "Vorname", "phone": "Mobiltelefon"}),
        (["Telefon-Nr.", "Email opt-in"], ["030 123456", "yes"], {"phone": "Telefon-Nr."}),
        (["Email", "Telefax"], ["a@example.com", "030 123456"], {"email": "Email"}),
        (["Hotel", "Mailing", "Email"], ["Ritz", "x", "a@example.com"], {"email": "Email"}),
        # nothing by name: by what is in it, but not beside what has a name
        (["Wer", "Kontakt"], ["A", "a@example.com"], {"email": "Kontakt"}),
        (["Email", "Account"], ["a@example.com", "(212) 555-0100"], {"email": "Email"}),
    ],
)
def test_given_names_like_those_we_know_then_fields_are_found(
    header: list[str], row: list[str], expected: dict[str, str]
) -> None:
    assert fields(header, row) == expected


def test_given_a_title_then_names_like_those_we_know_are_found_below_it() -> None:
    assert mapped(["List of mails", "", ""], ["Wer", "E-Mail privat", "X"], ["A", "a@example.com", ""]).header_row == 2


def test_given_no_header_then_fields_are_found_by_what_is_in_the_columns() -> None:
    rows = [["Ann", "ann@example.com", "+1 212 555 0100"], ["Bob", "bob@example.com", "(212) 555-0101"]]
    columns = mapped(*rows)
    assert not columns.has_header
    assert fields(*rows) == {"email": "Column 2", "phone": "Column 3"}
    assert columns.attributes == {"Column 1": 0}


@pytest.mark.parametrize(
    ("row", "phone"),
    [
        (["1234567", "Ann", "a@example.com", "+14155550123"], "Column 4"),
        (["2024-01-05", "Ann", "a@example.com", "(415) 555-0123"], "Column 4"),
        (["1234567", "Ann", "a@example.com", "x"], None),
        (["4155550123", "Ann", "a@example.com", "12345678"], "Column 1"),
    ],
)
def test_given_no_header_then_ids_and_dates_are_no_telephone_numbers(row: list[str], phone: str | None) -> None:
    assert fields(row, row).get("phone") == phone


def test_given_titles_above_the_names_then_the_table_begins_below_them() -> None:
    table = [
        ["Customers of 2026", "", ""],
        ["as of 1 May", "", ""],
        ["Name", "E-mail", "X"],
        ["Ann", "a@example.com", "x"],
    ]
    columns = mapped(*table)
    assert (columns.columns, columns.header_row) == (("Name", "E-mail", "X"), 3)
    # AND what is known of it then is found again, when an import goes on
    assert mapped(*table, asked=columns.described()) == columns
    assert mapped(*table, asked={"email": "e-mail"}).header_row == 3


def test_given_rows_above_something_like_names_then_they_are_no_titles() -> None:
    assert not mapped(["Ann", "ann@example.com"], ["Mail", "mail@example.com"]).has_header


def test_given_a_mapping_then_it_counts_by_name_or_position() -> None:
    header, row = ["A", "B", "C", "D"], ["x", "ann@example.com", "y", "z"]
    asked = {"email": 2, "full_name": "a", "attributes": ["D"]}
    columns = mapped(header, row, asked=asked)
    assert (columns.fields, columns.attributes) == ({"email": 1, "full_name": 0}, {"D": 3})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"external_id": "Code"}, {"external_id": "Code", "email": "Email", "phone": "Phone", "full_name": "Name"}),
        ({"email": "Code"}, {"email": "Code", "phone": "Phone", "full_name": "Name"}),
        ({"email": "Phone"}, {"email": "Phone", "full_name": "Name"}),
        ({"phone": None}, {"email": "Email", "full_name": "Name"}),
        ({"first_name": "Code"}, {"first_name": "Code", "email": "Email", "phone": "Phone"}),
    ],
)
def test_given_a_mapping_of_some_fields_then_the_others_are_found(
    asked: dict[str, Any], expected: dict[str, str]
) -> None:
    table = [["Name", "Email", "Phone", "Code"], ["x", "ann@example.com", "1", "y"]]
    assert fields(*table, asked=asked) == expected
    # AND the same is found when the import goes on
    columns = mapped(*table, asked=asked)
    assert mapped(*table, asked={**asked, **columns.described()}) == columns


def test_given_a_whole_name_in_the_mapping_then_its_parts_are_not_looked_for() -> None:
    header = ["First name", "Last name", "Display", "Email"]
    assert fields(header, asked={"full_name": "Display"}) == {"full_name": "Display", "email": "Email"}


def test_given_a_table_without_names_and_a_mapping_then_the_rest_is_found_by_content() -> None:
    row = ["Ann", "ann@example.com", "+1 212 555 0100"]
    assert fields(row, row, asked={"full_name": 1}) == {
        "full_name": "Column 1",
        "email": "Column 2",
        "phone": "Column 3",
    }


def test_given_a_mapping_of_one_column_to_two_fields_then_the_file_is_refused() -> None:
    with pytest.raises(UnreadableTableError, match="'Email' for `email` and `phone`"):
        mapped(["Name", "Email"], asked={"email": 2, "phone": "email"})


@pytest.mark.parametrize("asked", [{"email": "Mail"}, {"email": 9}, {"email": 1, "attributes": ["Z"]}, {"email": 0}])
def test_given_a_mapping_to_no_column_then_the_reason_names_those_there_are(
    asked: dict[str, Any],
) -> None:
    with pytest.raises(UnreadableTableError, match="A, B"):
        mapped(["A", "B"], ["x", "y"], asked=asked)


def test_given_no_column_to_reach_anybody_by_then_the_file_is_refused() -> None:
    with pytest.raises(UnreadableTableError, match="email addresses or telephone numbers"):
        mapped(["Name", "City"], ["Ann", "Paris"])


def test_given_too_many_columns_then_the_file_is_refused() -> None:
    with pytest.raises(UnreadableTableError, match="10,000 columns"):
        mapped([f"c{n}" for n in range(10_000)], ["x"] * 10_000)
    assert len(mapped(["email"] + ["c"] * (MAX_COLUMNS - 1)).columns) == MAX_COLUMNS


def test_given_a_name_twice_then_both_columns_are_kept() -> None:
    columns = mapped(["Email", "Email", ""], ["a@example.com", "b@example.com", "c"])
    assert columns.columns == ("Email", "Email (2)", "Column 3")
    assert mapped(["Email", "Email", "Email (2)"]).columns == ("Email", "Email (2)", "Email (2) (2)")
    assert list(columns.attributes) == ["Email (2)", "Column 3"]


def test_given_a_row_then_it_is_a_contact() -> None:
    columns = mapped(["ID", "First name", "Last name", "E-mail", "Tel", "City", "Empty"], ["1"] * 7)
    got = contact(columns, [" 7 ", "Ann ", "Lee", "Ann@Example.COM", "(212) 555-0123", "São\tPaulo\\", ""])
    assert got[:4] == ["7", "Ann Lee", "ann@example.com", "+12125550123"]
    assert json.loads(got[4] or "") == {"City": "São\tPaulo\\"}


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20), min_size=3, max_size=3
    )
)
def test_given_any_text_then_the_database_gets_it_as_it_came(cells: list[str]) -> None:
    columns = mapped(["E-mail", "Name", "A", "B"], ["a@example.com", "b", "c", "d"])
    got = contact(columns, ["ann@example.com", *cells])
    assert got[1] == (cells[0].strip() or None)
    expected = {name: cell.strip() for name, cell in zip("AB", cells[1:], strict=True) if cell.strip()}
    assert json.loads(got[4] or "") == expected


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (["", "", "x"], "neither an email address nor a telephone number .columns looked at: email, phone"),
        (["nonsense", "", ""], "Email: "),
        (["", "12", ""], "Phone: "),
        (["a@example.com", "", "2026-02-30"], "there is no day"),
        (["a@example.com", "", "soon"], "is not a date"),
        (["a@example.com", "", "x\0"], "NUL"),
        (["a@example.com", "", "", "more"], "4 cells"),
    ],
)
def test_given_a_bad_row_then_the_reason_says_what_is_wrong(cells: list[str], reason: str) -> None:
    columns = mapped(
        ["email", "phone", "born"], ["a@example.com", "", ""], asked={"email": 1, "phone": 2, "dates": ["born"]}
    )
    with pytest.raises(InvalidRowError, match=reason):
        line_maker(columns, "US")(cells)


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("2026-1-5", "US", "2026-01-05"),
        ("5.1.2026", "US", "2026-01-05"),
        ("1/5/2026", "US", "2026-01-05"),
        ("5/1/2026", "GB", "2026-01-05"),
        ("2026-01-05T10:00:00", "DE", "2026-01-05"),
        ("2026/1/5", "JP", "2026-01-05"),
        ("05.01.2026 00:00", "DE", "2026-01-05"),
    ],
)
def test_given_a_date_then_it_is_kept_in_one_form(text: str, country: str, expected: str) -> None:
    columns = mapped(["email", "born"], ["a@example.com", ""], asked={"email": 1, "dates": ["born"]})
    assert json.loads(contact(columns, ["a@example.com", text], country)[4] or "") == {"born": expected}


@pytest.mark.parametrize("asked", [None, {"full_name": "Name", "phone": "Phone"}, {"full_name": 1, "phone": 2}])
def test_given_our_list_of_failed_rows_then_corrected_it_is_imported(asked: dict[str, Any] | None) -> None:
    row = ["7", "Phone: too short", "'=1+1", "'+12125550123"]
    columns = mapped(["Line", "Reason", "Name", "Phone"], row, asked=asked)
    assert columns.ours
    assert contact(columns, row)[1:4] == ["=1+1", None, "+12125550123"]
    assert columns.attributes == {}


def test_given_our_list_of_a_table_with_columns_like_ours_then_they_are_that_tables() -> None:
    sample = [Row(1, ["Line", "Reason", "Line", "Reason", "'=x", "Email"])]
    assert returned(sample) == ["Line", "Reason", "=x", "Email"]
    assert mapped(*[row.cells for row in sample]).columns == ("Line", "Reason", "=x", "Email")
