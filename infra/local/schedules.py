"""EventBridge's schedule expressions: when is the next time?

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-scheduled-rule-pattern.html
"""

import re
from datetime import datetime, timedelta

_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"
_DAYS = "SUN MON TUE WED THU FRI SAT"
_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 1, 7),
    ("year", 1970, 2199),
)
_YEARS_AHEAD = 30


def rate(expression: str) -> timedelta | None:
    """The period of `rate(5 minutes)`; None for a cron expression. Raises ValueError for anything else."""
    if match := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", expression):
        return int(match[1]) * _UNITS[match[2]]
    _cron(expression)
    return None


def following(expression: str, moment: datetime) -> datetime:
    """The first time after `moment` (UTC) that the expression stands for."""
    period = rate(expression)
    if period is not None:
        return moment + period
    minutes, hours, days, months, weekdays, years = _cron(expression)
    start = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
    day = start.replace(hour=0, minute=0)
    for _ in range(366 * _YEARS_AHEAD):
        # EventBridge counts Sunday as 1, Python Monday as 0.
        weekday = (day.weekday() + 1) % 7 + 1
        if day.year in years and day.month in months and day.day in days and weekday in weekdays:
            for hour in sorted(hours):
                for minute in sorted(minutes):
                    if (found := day.replace(hour=hour, minute=minute)) >= start:
                        return found
        day += timedelta(days=1)
    raise ValueError(f"{expression} never comes")


def _cron(expression: str) -> list[set[int]]:
    match = re.fullmatch(r"cron\((\S+) (\S+) (\S+) (\S+) (\S+) (\S+)\)", expression)
    if match is None:
        raise ValueError(f"{expression!r} is neither rate(...) nor cron(...) as EventBridge writes them")
    return [_values(text, *field) for text, field in zip(match.groups(), _FIELDS, strict=True)]


def _values(text: str, name: str, low: int, high: int) -> set[int]:
    for names, first in ((_MONTHS, 1), (_DAYS, 1)):
        for number, word in enumerate(names.split(), first):
            text = text.upper().replace(word, str(number))
    values: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(?:([*?])|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        if match is None:
            raise ValueError(f"{part!r} as {name} is not understood here (L, W and # are EventBridge's alone)")
        every, begins, ends, step = match.groups()
        begin = low if every else int(begins)
        end = high if every or (step and not ends) else int(ends or begins)
        values.update(range(begin, end + 1, int(step or 1)))
    if not values or min(values) < low or max(values) > high:
        raise ValueError(f"{text!r} as {name} is not within {low} and {high}")
    return values
