"""Lambda entry of `event_dispatcher`: each minute, and with `{"retry": true}` by hand, for what was given up."""

from typing import Any

import quintet.coldstart  # noqa: F401  (first)
from functions.event_dispatcher.service import dispatch
from quintet.observability import observed

_RESERVED_MS = 15_000
"""A batch that is begun with so much time left ends in time."""


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Send again what a crash kept from its queue, and merge tallies; answers how much that was."""
    return dispatch(
        lambda: context.get_remaining_time_in_millis() > _RESERVED_MS,
        retry=event.get("retry") is True,
    )
