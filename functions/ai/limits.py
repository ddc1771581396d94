"""How much somebody may ask for."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from quintet.config import settings
from quintet.db.reads import rows
from quintet.errors import TooManyRequests

_USED = "SELECT input_tokens + output_tokens AS used FROM ai_usage WHERE user_id = %(user)s AND day = %(day)s"
_USE = """
    INSERT INTO ai_usage AS u (user_id, day, input_tokens, output_tokens)
    VALUES (%(user)s, %(day)s, %(input)s, %(output)s)
    ON CONFLICT (user_id, day) DO UPDATE SET
        input_tokens = u.input_tokens + excluded.input_tokens, output_tokens = u.output_tokens + excluded.output_tokens
    RETURNING true"""


def require_tokens(session: Session, user_id: UUID) -> dict[str, str]:
    """The `RateLimit` headers of the day's tokens; 429 when they are used up. The day ends at midnight, UTC.

    What is under way is counted when it has ended, so that the last answers of a day may go beyond.
    """
    now, limit = datetime.now(UTC), settings().ai_tokens_per_day
    found = rows(session, _USED, {"user": user_id, "day": now.date()})
    left = limit - (found[0].used if found else 0)
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    seconds = int((midnight - now).total_seconds()) + 1
    headers = {
        "RateLimit-Policy": f'"assistant_tokens";q={limit};w=86400',
        "RateLimit": f'"assistant_tokens";r={max(0, left)};t={seconds}',
    }
    if left <= 0:
        raise TooManyRequests(
            "You have used up the assistant's tokens of today. There are new ones at midnight, UTC.",
            headers={**headers, "Retry-After": str(seconds)},
        )
    return headers


def use_tokens(session: Session, user_id: UUID, *, input_tokens: int, output_tokens: int) -> None:
    """Count tokens that were used outside of a conversation."""
    today = datetime.now(UTC).date()
    rows(session, _USE, {"user": user_id, "day": today, "input": input_tokens, "output": output_tokens})
