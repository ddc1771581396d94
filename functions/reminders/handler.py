"""Lambda entry of `reminders`: each quarter of an hour, which is how late somebody's morning may be noticed."""

from datetime import UTC, datetime
from typing import Any

import quintet.coldstart  # noqa: F401  (first)
from functions.reminders.service import remind
from quintet.observability import observed

_RESERVED_MS = 15_000
"""A batch that is begun with so much time left ends in time."""


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Tell those whose morning it is at the event's time; answers of how many tasks, and how many digests."""
    now = datetime.fromisoformat(event["time"]) if "time" in event else datetime.now(UTC)
    return remind(now, lambda: context.get_remaining_time_in_millis() > _RESERVED_MS)
