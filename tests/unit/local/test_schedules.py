"""Schedule expressions mean what EventBridge means by them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.manifest import FUNCTIONS
from infra.local.schedules import following, rate


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("cron(0 12 * * ? *)", "2026-11-20T11:59:59", "2026-11-20T12:00"),
        ("cron(0 12 * * ? *)", "2026-11-20T12:00:00", "2026-11-21T12:00"),
        ("cron(15 10 ? * MON-FRI *)", "2026-11-20T10:15:00", "2026-11-23T10:15"),  # a Friday
        ("cron(0/15 * * * ? *)", "2026-11-20T10:16:00", "2026-11-20T10:30"),
        ("cron(0 8 1 * ? *)", "2026-12-01T08:00:00", "2027-01-01T08:00"),
        ("cron(5,10 0 29 FEB ? *)", "2026-11-20T00:00:00", "2028-02-29T00:05"),
        ("cron(0 0 ? * 1 *)", "2026-11-20T00:00:00", "2026-11-22T00:00"),  # 1 is Sunday
        ("rate(5 minutes)", "2026-11-20T00:00:00", "2026-11-20T00:05"),
        ("rate(1 day)", "2026-11-20T00:00:00", "2026-11-21T00:00"),
    ],
)
def test_given_an_expression_when_asked_then_the_next_time_is_eventbridges(
    expression: str, after: str, expected: str
) -> None:
    assert following(expression, at(after)) == at(expected)


@given(st.integers(0, 59), st.integers(0, 23), st.integers(0, 10**8))
def test_given_a_daily_time_when_asked_then_the_next_is_within_a_day_and_at_that_time(
    minute: int, hour: int, seconds: int
) -> None:
    moment = at("2026-01-01T00:00") + timedelta(seconds=seconds)
    found = following(f"cron({minute} {hour} * * ? *)", moment)
    assert moment < found <= moment + timedelta(days=1)
    assert (found.hour, found.minute, found.second) == (hour, minute, 0)


@pytest.mark.parametrize(
    "expression", ["", "rate(1 week)", "every minute", "cron(* * *)", "cron(0 0 L * ? *)", "cron(60 0 * * ? *)"]
)
def test_given_what_eventbridge_does_not_write_when_read_then_it_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        rate(expression)


def test_given_a_date_that_never_comes_when_asked_then_it_says_so() -> None:
    with pytest.raises(ValueError, match="never comes"):
        following("cron(0 0 30 FEB ? *)", at("2026-01-01T00:00"))


def test_given_the_manifest_when_read_then_every_schedule_is_understood() -> None:
    scheduled = [function.schedule for function in FUNCTIONS.values() if function.schedule]
    assert scheduled
    assert all(following(expression, at("2026-01-01T00:00")) for expression in scheduled)
