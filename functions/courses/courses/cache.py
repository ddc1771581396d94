"""The public list, kept for a while in this sandbox: a repeat asks the database nothing, nor does a 304.

What is kept is never dropped before its time, as by an edit: other sandboxes, and caches on the way, would not know.
Instead, an answer says for how much of its time it is still fresh. So nobody who keeps to the header shows what is
older than `MAX_AGE`, or `STALE` seconds more while they ask for the new one (RFC 5861). An `Age` header would say the
same (RFC 9111, section 5.1), but API Gateway may rename it.
"""

import hashlib
import math
import threading
import time
from base64 import urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

MAX_AGE = 30
"""Seconds an answer is fresh, all caches together."""
STALE = 30
"""Seconds more in which it may be shown while a new one is fetched."""

_OVERHEAD = 1024
"""Bytes, about, that an entry takes besides its body."""


class Kept(NamedTuple):
    """An answer, its entity tag, and when what it says was read."""

    body: bytes
    etag: str
    at: float


class Cache:
    """Answers by what was asked; of those beyond `max_bytes`, what was not asked for the longest goes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._size = 0
        self._kept: OrderedDict[Hashable, Kept] = OrderedDict()
        self._lock = threading.Lock()  # the local gateway has a thread for each invocation

    def get(self, key: Hashable, read: Callable[[], bytes]) -> tuple[Kept, int]:
        """What is kept under `key` and its age, in seconds, rounded up; or what `read` answers now, and 0.

        By the clock on the wall: a sandbox is frozen between requests, and other clocks may stop then. An answer of
        the future, since the clock was set back, counts as old.
        """
        at = time.time()  # before it is read: it is no newer than that
        with self._lock:
            if kept := self._kept.get(key):
                age = math.ceil(at - kept.at)
                if 0 <= age < MAX_AGE:
                    self._kept.move_to_end(key)
                    return kept, age
        body = read()
        kept = Kept(body, etag_of(body), at)
        with self._lock:
            self._drop(key)
            self._kept[key] = kept
            self._size += len(body) + _OVERHEAD
            while self._size > self._max_bytes:
                self._drop(next(iter(self._kept)))
        return kept, 0

    def _drop(self, key: Hashable) -> None:
        if kept := self._kept.pop(key, None):
            self._size -= len(kept.body) + _OVERHEAD


def cache_control(age: int) -> str:
    """For what was read `age` seconds ago. Without `stale-if-error` CloudFront shows it for as long as we fail."""
    return f"public, max-age={MAX_AGE - age}, stale-while-revalidate={STALE}, stale-if-error=0"


def etag_of(body: bytes) -> str:
    """A strong validator of a list, which has no version: 120 bits of its SHA-256."""
    return f'"{urlsafe_b64encode(hashlib.sha256(body).digest()[:15]).decode()}"'


public = Cache(max_bytes=16 * 1024 * 1024)
"""Of this sandbox."""
