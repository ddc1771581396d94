"""What a service gives once and does not give again is not lost because the database is away for a moment."""

from collections.abc import Callable

from sqlalchemy.exc import DBAPIError


def insist(write: Callable[[], None]) -> None:
    """Do `write`, which may be repeated, again for some seconds when the database does not answer it."""
    import stamina

    for attempt in stamina.retry_context(on=DBAPIError, attempts=6, timeout=15, wait_initial=0.2):
        with attempt:
            write()
