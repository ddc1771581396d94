"""Rate limits: fixed windows counted in PostgreSQL, committed before the attempt is judged.

Volume is the firewall's business; these keep a password, an address or a mailbox from being worked on.
Headers as in draft-ietf-httpapi-ratelimit-headers-10.
"""

import hashlib
from dataclasses import dataclass

from sqlalchemy.orm import Session

from quintet.db.reads import ReadSession, rows
from quintet.db.session import commit, reading
from quintet.errors import TooManyRequests


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `hits` in `seconds`, counted for each value of `by`, or of several joined by `+`."""

    by: str
    hits: int
    seconds: int


LIMITS: dict[str, tuple[Limit, ...]] = {
    "register": (Limit("ip", 20, 3600),),
    # The account alone is limited more loosely: nobody is to be kept out by somebody else's attempts.
    "sign_in": (Limit("account+ip", 10, 900), Limit("account", 50, 900), Limit("ip", 100, 900)),
    "provider_sign_in": (Limit("ip", 200, 900),),  # there and back are two
    "refresh": (Limit("ip", 600, 900),),
    "password_reset": (Limit("account", 5, 3600), Limit("ip", 30, 3600)),
    "email_verification": (Limit("account", 5, 3600), Limit("ip", 30, 3600)),
    "token_confirm": (Limit("ip", 30, 900),),
    # An office of hundreds may share one address.
    "conversation": (Limit("account", 100, 3600), Limit("ip", 1000, 3600)),
    "message": (Limit("account", 120, 60), Limit("ip", 1200, 60)),
    "reaction": (Limit("account", 300, 60), Limit("ip", 3000, 60)),
    "search": (Limit("account", 60, 60), Limit("ip", 600, 60)),
    "webhook": (Limit("account", 60, 60),),
    "export": (Limit("account", 5, 86_400),),
    # What is asked of a service may cost its owner money there.
    "integration": (Limit("account", 60, 60),),
    "integration_callback": (Limit("ip", 120, 900),),
    "assistant": (Limit("account", 20, 60), Limit("ip", 200, 60)),
    # Each who follows an answer takes a function until its end.
    "assistant_resume": (Limit("account", 30, 60),),
    # When the network comes back, everybody in that office connects again, with each of their devices.
    "realtime_ticket": (Limit("account", 120, 60), Limit("ip", 3000, 60)),
    "frame": (Limit("connection", 200, 10), Limit("account", 400, 10)),
    # Of somebody in hundreds of conversations each takes the database a while.
    "look_around": (Limit("account", 120, 60),),
    # Each is told to every member of a conversation.
    "signal": (Limit("account", 60, 60),),
}
"""What is limited, and how. Every name is a policy in the `RateLimit-Policy` header."""

_COUNT = """
    INSERT INTO rate_counters AS c (key, hits, window_ends_at)
    SELECT key, 1, now() + make_interval(secs => seconds)
    FROM unnest(%(keys)s::text[], %(seconds)s::int[]) AS limits(key, seconds) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET
        hits = CASE WHEN c.window_ends_at <= now() THEN 1 ELSE c.hits + 1 END,
        window_ends_at = CASE WHEN c.window_ends_at <= now() THEN excluded.window_ends_at ELSE c.window_ends_at END
    RETURNING key, hits, ceil(extract(epoch FROM window_ends_at - now()))::int AS resets_in"""


def count(session: Session, name: str, **values: str) -> dict[str, str]:
    """Count one attempt at `name` under each of its limits, and commit that.

    `values` gives each `Limit.by` (an IP address, an account's address). Returns the headers to send; raises
    429 with `Retry-After` when a limit is passed.
    """
    limits = {_key(name, limit.by, *(values[part] for part in limit.by.split("+"))): limit for limit in LIMITS[name]}
    params = {"keys": list(limits), "seconds": [limit.seconds for limit in limits.values()]}
    # In autocommit: counted whatever becomes of the request. There may be only one connection.
    if isinstance(session, ReadSession):
        counted = rows(session, _COUNT, params)
    else:
        commit(session)  # gives it back
        with reading() as counting:
            counted = rows(counting, _COUNT, params)
    nearest = min(counted, key=lambda row: limits[row.key].hits - row.hits)
    headers = _headers(name, limits[nearest.key], nearest.hits, nearest.resets_in)
    if nearest.hits > limits[nearest.key].hits:
        raise TooManyRequests(
            f"Too many attempts. Try again in {nearest.resets_in} seconds.",
            headers={**headers, "Retry-After": str(nearest.resets_in)},
        )
    return headers


def _headers(name: str, limit: Limit, hits: int, resets_in: int) -> dict[str, str]:
    policy = f"{name}_{limit.by}"
    return {
        "RateLimit-Policy": f'"{policy}";q={limit.hits};w={limit.seconds}',
        "RateLimit": f'"{policy}";r={max(0, limit.hits - hits)};t={resets_in}',
    }


def _key(name: str, by: str, *values: str) -> str:
    # Hashed: the table holds no addresses, and a key has a bounded length.
    return f"{name}:{by}:{hashlib.sha256(' '.join(values).lower().encode()).hexdigest()[:32]}"
