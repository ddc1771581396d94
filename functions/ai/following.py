"""An answer for those who did not ask, or were cut off: from its beginning, as it is written down."""

import time
from collections.abc import Iterator
from uuid import UUID

from functions.ai import log
from functions.ai.chunks import KEEP_ALIVE
from quintet.db.session import writing

LOOK_SECONDS = 0.15
_KEEP_ALIVE_SECONDS = 15


def follow(id: UUID) -> Iterator[str]:
    """The stream of an answer, byte for byte what an unbroken one was, until it has ended."""
    after, spoken = -1, time.monotonic()
    while (found := log.read(id, after)) is not None:  # it goes with its conversation
        if found.data and found.position is not None:
            after, spoken = found.position, time.monotonic()
            yield found.data
        if found.abandoned:
            with writing() as session:
                log.interrupt(session, id)
        elif found.status != "running":
            return
        else:
            time.sleep(LOOK_SECONDS)
        if time.monotonic() - spoken > _KEEP_ALIVE_SECONDS:
            spoken = time.monotonic()
            yield KEEP_ALIVE
