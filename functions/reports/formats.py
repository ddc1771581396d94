"""In which form a report goes out: as `?format=` says, else as `Accept` prefers (RFC 9110, 12.5.1)."""

import re
from typing import Literal

from quintet.errors import NotAcceptable

Format = Literal["json", "csv", "html"]

MEDIA_TYPES: dict[Format, str] = {"json": "application/json", "csv": "text/csv", "html": "text/html"}
"""In the order of our own preference."""

_RANGE = re.compile(r"\s*([^\s;/]+/[^\s;/]+)\s*((?:;[^;]*)*)")
_QUALITY = re.compile(r";\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*(?:;|$)", re.IGNORECASE)

VARY = {"vary": "Accept"}


def choose(asked: Format | None, accept: str) -> Format:
    """The form asked for, or the acceptable one that the caller likes best; 406 when there is none.

    An empty header accepts everything. What is no media range in it is passed over.
    """
    if asked:
        return asked
    ranges = dict(_ranges(accept)) or {"*/*": 1.0}
    qualities = {form: _quality(media_type, ranges) for form, media_type in MEDIA_TYPES.items()}
    best = max(qualities, key=qualities.__getitem__)
    if not qualities[best]:
        raise NotAcceptable(f"A report can be had as {', '.join(MEDIA_TYPES.values())}.", headers=VARY)
    return best


def _ranges(accept: str) -> list[tuple[str, float]]:
    found = []
    for part in accept.lower().split(","):
        if media_range := _RANGE.fullmatch(part):
            quality = _QUALITY.search(media_range[2])
            found.append((media_range[1], min(float(quality[1]), 1.0) if quality else 1.0))
    return found


def _quality(media_type: str, ranges: dict[str, float]) -> float:
    """How much the caller wants this type: what the most specific range that it is in says."""
    wider = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    return next((ranges[each] for each in wider if each in ranges), 0.0)
