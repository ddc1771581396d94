"""When it is tried again, and what an answer means."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.webhook_sender.posting import Answer
from quintet import retry_after

if TYPE_CHECKING:
    from quintet.db.models.webhooks import DeliveryStatus, PausedReason  # 40 ms, for names alone

_MINUTE, _HOUR = 60, 3600
_DAY = 24 * _HOUR

SCHEDULE = (_MINUTE, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR, 5 * _HOUR, 8 * _HOUR, 9 * _HOUR)
"""Seconds from each failed attempt to the next, and the last of them from then on; together a day and half an hour.

The dispatcher looks once a minute, so nothing shorter would be true.
"""

_ASKS_FOR_TIME = (429, 503)
_GONE = 410


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a delivery after an attempt."""

    status: "DeliveryStatus"
    error: str | None = None
    again_in: int | None = None
    """Seconds."""
    pause: "PausedReason | None" = None
    """Why the webhook is to be paused: it is `gone`, or it is `failing` unless other events do arrive there."""


def judge(answer: Answer, attempts: int, tried_for: float) -> Verdict:
    """What the answer to the attempt with this number (from 1) means, so many seconds after the first began.

    That chooses the wait alone: it is given up after a day, however many attempts were made or lost in it.
    """
    status = answer.status
    if status is not None and 200 <= status < 300:
        return Verdict("delivered")
    error = answer.error or f"It answered {status}."
    if status is not None and 300 <= status < 400:
        error = f"It answered {status}; redirects are not followed."
    if status == _GONE:
        return Verdict("failed", error, pause="gone")
    if tried_for >= _DAY:
        return Verdict("failed", error, pause="failing")
    wait = SCHEDULE[min(attempts, len(SCHEDULE)) - 1]
    if status in _ASKS_FOR_TIME:
        wait = max(wait, min(int(retry_after.seconds(answer.retry_after) or 0), max(SCHEDULE)))
    return Verdict("pending", error, again_in=wait)
