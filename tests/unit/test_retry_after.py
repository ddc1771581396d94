"""How long somebody asks us to wait, in every way there is to say it."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from quintet.retry_after import LONGEST, seconds


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("5", 5),
        (" 0 ", 0),
        ("86401", LONGEST),
        ("9" * 400, LONGEST),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:37 -0000", 0),
        ("-5", None),
        ("1.5", None),
        ("\u0663", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_given_a_retry_after_then_it_is_seconds_up_to_a_day(header: str | None, expected: float | None) -> None:
    assert seconds(header) == expected


def test_given_a_date_then_it_is_the_time_until_then() -> None:
    at = datetime.now(UTC) + timedelta(minutes=10)
    assert seconds(format_datetime(at, usegmt=True)) == pytest.approx(600, abs=2)
