"""Circuit breakers, one for each service and shared by all sandboxes: a row of PostgreSQL each.

Some failures in a row open it: nobody calls the service for a while. Then one caller may try (half open); the outcome
closes it, or opens it for longer. Each statement stands alone, and is committed whatever becomes of the call.
"""

from functions.integration_syncer.troubles import Shut
from quintet.db.reads import rows
from quintet.db.session import reading

THRESHOLD = 5
"""Failures in a row that open it."""
WINDOW = 120
"""Seconds after which a failure is no longer in a row with the next."""
COOLDOWN, LONGEST = 30, 900
"""Seconds it stays open the first time, twice as long each further time, and at most."""
PROBE = 60
"""Seconds for the one who tries, after which somebody else may."""

# What is read is as it was before the update.
_ADMIT = f"""
    WITH probe AS (
        UPDATE circuit_breakers SET state = 'half_open', open_until = now() + interval '{PROBE} seconds'
        WHERE service = %(service)s AND state <> 'closed' AND open_until <= now()
        RETURNING service)
    SELECT b.state = 'closed' OR EXISTS (SELECT FROM probe) AS admitted,
           b.failures > 0 OR b.state <> 'closed' AS ailing,
           extract(epoch FROM b.open_until - now())::float8 AS again_in
    FROM circuit_breakers b WHERE b.service = %(service)s"""

_SUCCEEDED = """
    UPDATE circuit_breakers SET state = 'closed', failures = 0, trips = 0, open_until = NULL
    WHERE service = %(service)s AND state <> 'open' RETURNING service"""

_IN_A_ROW = f"CASE WHEN b.failed_at > now() - interval '{WINDOW} seconds' THEN b.failures + 1 ELSE 1 END"
_OPENS = f"(b.state = 'half_open' OR b.state = 'closed' AND {_IN_A_ROW} >= {THRESHOLD})"
_FAILED = f"""
    INSERT INTO circuit_breakers AS b (service, failures, failed_at) VALUES (%(service)s, 1, now())
    ON CONFLICT (service) DO UPDATE SET
        failures = {_IN_A_ROW}, failed_at = now(),
        state = CASE WHEN {_OPENS} THEN 'open' ELSE b.state END,
        trips = b.trips + CASE WHEN {_OPENS} THEN 1 ELSE 0 END,
        open_until = CASE WHEN {_OPENS}
            THEN now() + interval '1 second' * least({COOLDOWN} * power(2, least(b.trips, 10)), {LONGEST})
            ELSE b.open_until END
    RETURNING service"""


def admit(service: str, title: str) -> bool:
    """Whether the service has not been well of late, so that its next success is to be noted. Raises Shut."""
    with reading() as session:
        found = rows(session, _ADMIT, {"service": service})
    if not found:
        return False
    [row] = found
    if not row.admitted:
        raise Shut(f"{title} is out of order; it is tried again soon.", again_in=max(1.0, row.again_in))
    return bool(row.ailing)


def succeeded(service: str) -> None:
    """The service has answered."""
    with reading() as session:
        rows(session, _SUCCEEDED, {"service": service})


def failed(service: str) -> None:
    """The service has not answered, or said that it is not well."""
    with reading() as session:
        rows(session, _FAILED, {"service": service})
