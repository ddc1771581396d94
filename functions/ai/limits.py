"""How much somebody may ask for."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from functions.ai.providers import Usage
from quintet.config import settings
from quintet.db.reads import rows
from quintet.errors import TooManyRequests

_USED = "SELECT input_tokens + output_tokens AS used FROM ai_usage WHERE user_id = %(user)s AND day = %(day)s"

# One at a time for each user: it waits for the row.
_RESERVE = """
    INSERT INTO ai_usage AS u (user_id, day, input_tokens, output_tokens)
    VALUES (%(user)s, (now() AT TIME ZONE 'UTC')::date, %(input)s, %(output)s)
    ON CONFLICT (user_id, day) DO UPDATE SET
        input_tokens = u.input_tokens + excluded.input_tokens, output_tokens = u.output_tokens + excluded.output_tokens
    WHERE u.input_tokens + u.output_tokens < %(limit)s
    RETURNING day"""
_SETTLE = """
    UPDATE ai_usage SET input_tokens = input_tokens + %(input)s, output_tokens = output_tokens + %(output)s
    WHERE user_id = %(user)s AND day = %(day)s RETURNING true"""


def require_tokens(session: Session, user_id: UUID) -> dict[str, str]:
    """The `RateLimit` headers of the day's tokens; 429 when they are used up. The day ends at midnight, UTC."""
    now, limit = datetime.now(UTC), settings().ai_tokens_per_day
    found = rows(session, _USED, {"user": user_id, "day": now.date()})
    left = limit - (found[0].used if found else 0)
    if left <= 0:
        raise _used_up(now)
    return _headers(now, left)


def reserve(session: Session, user_id: UUID, expected: Usage) -> date:
    """Count beforehand what an answer may use, so that many at once use no more than one after the other would.

    Returns the day it is counted on; 429 when that day's tokens are used up. The last answer may go beyond.
    """
    reserved = rows(session, _RESERVE, {"user": user_id, "limit": settings().ai_tokens_per_day} | _tokens(expected))
    if not reserved:
        raise _used_up(datetime.now(UTC))
    day: date = reserved[0].day
    return day


def settle(session: Session, user_id: UUID, day: date, *, expected: Usage, used: Usage) -> None:
    """Count what was used instead of what was expected."""
    more = Usage(used.input_tokens - expected.input_tokens, used.output_tokens - expected.output_tokens)
    rows(session, _SETTLE, {"user": user_id, "day": day} | _tokens(more))


def _tokens(usage: Usage) -> dict[str, int]:
    return {"input": usage.input_tokens, "output": usage.output_tokens}


def _headers(now: datetime, left: int) -> dict[str, str]:
    limit = settings().ai_tokens_per_day
    return {
        "RateLimit-Policy": f'"assistant_tokens";q={limit};w=86400',
        "RateLimit": f'"assistant_tokens";r={max(0, left)};t={_seconds_left(now)}',
    }


def _seconds_left(now: datetime) -> int:
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    return int((midnight - now).total_seconds()) + 1


def _used_up(now: datetime) -> TooManyRequests:
    return TooManyRequests(
        "You have used up the assistant's tokens of today. There are new ones at midnight, UTC.",
        headers={**_headers(now, 0), "Retry-After": str(_seconds_left(now))},
    )
