"""What is fetched comes in pages: records, and the checkpoint from which it goes on."""

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

Checkpoint = dict[str, Any]
"""JSON, of which only the service's own module knows what is in it; empty at the beginning."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """Something of a service as it is now."""

    kind: str
    external_id: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """What one call gave. It is stored, with its checkpoint, or not at all."""

    checkpoint: Checkpoint
    records: list[Fetched] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    """External ids of what there is no more, of the kind `document`."""
    pass_number: int = 0
    """Of a listing of everything: its number."""
    listed: str | None = None
    """The kind that has been listed as a whole with this page: what the listing did not see has gone."""
    done: bool = False
    """Whether there is nothing more for now."""


def without_nul(value: Any) -> Any:
    """JSON that PostgreSQL can hold: it takes neither NUL nor half a surrogate pair, and no number without end."""
    match value:
        case str():
            return value.replace("\0", "").encode("utf-8", "replace").decode()
        case list():
            return [without_nul(member) for member in value]
        case dict():
            return {without_nul(name): without_nul(member) for name, member in value.items()}
        case float() if not isfinite(value):  # what Python reads 1e999 as
            return None
    return value
