"""Cells that a spreadsheet may open."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quintet.spreadsheets import neutral, original


@given(st.text(max_size=10) | st.text("'=+-@\t\r\n ,;\"a\uff1d", max_size=10))
def test_given_any_cell_then_no_spreadsheet_calculates_it_and_it_can_be_had_back(cell: str) -> None:
    parts = re.split(r"[,;\t\r\n\"]", neutral(cell))
    assert not any(part.strip().startswith(tuple("=+-@\uff1d")) for part in parts)
    assert original(neutral(cell)) == cell


@pytest.mark.parametrize("cell", ["", "Ada", "ada@example.com", "020 7946 0018", "O'Brien", "well-known", "1 + 1"])
def test_given_a_usual_cell_then_it_stays_as_it_is(cell: str) -> None:
    assert neutral(cell) == original(cell) == cell
