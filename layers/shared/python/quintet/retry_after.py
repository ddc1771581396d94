"""How long somebody asks us to wait."""

from datetime import UTC, datetime

LONGEST = 24 * 3600
"""Seconds: whoever says more is asked again after a day."""


def seconds(header: str | None) -> float | None:
    """What a Retry-After says, a number or a date (RFC 9110, 10.2.3): seconds up to a day; None when it is neither."""
    from email.utils import parsedate_to_datetime

    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:9]), LONGEST))
    try:
        at = parsedate_to_datetime(text)
        # One without a zone means UTC, as HTTP's always do.
        return min(max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()), LONGEST)
    except (ValueError, OverflowError):
        return None
