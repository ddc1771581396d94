"""Invoked at deploy time, before the other functions change."""

from typing import Any

import quintet.coldstart  # noqa: F401  (first)
from functions.db_migrator.service import migrate
from quintet.observability import logger, observed


@observed
def handler(event: dict[str, Any], context: Any) -> dict[str, str]:
    """Upgrade to the newest version (or to `event["revision"]`); answers the revision it is at."""
    revision = migrate(event.get("revision", "head"))
    logger.info("The schema is at %s.", revision)
    return {"revision": revision}
