"""Lambda entry of `maintenance`: each day, and by hand when a signing key must be replaced now.

`{"rotate": true}` replaces it without signing anybody out. `{"revoke": true}` is for a secret that has leaked: every
token signed before is dead at once, and everybody has to sign in again. `{"admin": "you@example.com"}` makes
somebody an administrator, and does nothing else.
"""

from typing import Any

import quintet.coldstart  # noqa: F401  (first)
from functions.maintenance.administrators import appoint
from functions.maintenance.service import maintain
from quintet.observability import observed

_RESERVED_MS = 60_000
"""A batch that is begun with so much time left ends in time."""


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Do every step; answers what each did. Fails at the end when one failed, so that the alarm hears of it."""
    if email := event.get("admin"):
        return {"said": appoint(email)}
    return maintain(
        rotate_now=event.get("rotate") is True,
        revoke=event.get("revoke") is True,
        time_left=lambda: context.get_remaining_time_in_millis() > _RESERVED_MS,
    )
