"""A request to a service, as whoever works on it knows it; and for how long that makes sense."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from functions.integration_syncer.generation import JOBS
from quintet.config import settings

PATIENCE = {"read": timedelta(hours=1), "job": timedelta(days=1)}
"""For how long something is tried; whatever happens, twice as long at most."""
LAST_LOOK = 300
"""Seconds between looks at a job at most: the longer it takes, the less often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A request that is ours while `run` is its newest run."""

    id: UUID
    integration_id: UUID
    user_id: UUID
    service: str
    integration_status: str
    operation: str
    input: dict[str, Any]
    run: int
    failures: int
    external_id: str | None
    created_at: datetime
    file_id: UUID | None
    stored_at: datetime | None
    file_status: str | None
    file_reason: str | None

    @property
    def is_job(self) -> bool:
        """Whether the service makes something, which takes it a while."""
        return self.operation in JOBS

    @property
    def next_look(self) -> float:
        """In how many seconds it makes sense to look again, at the job or at its file."""
        waited = datetime.now(UTC) - (self.stored_at or self.created_at)
        return min(max(settings().integration_look_seconds, waited.total_seconds() / 5), LAST_LOOK)

    def too_late(self, *, again_in: float = 0, times: int = 1) -> bool:
        """Whether it has been tried for long enough (so many times over) when so many seconds will have passed."""
        patience = PATIENCE["job" if self.is_job else "read"] * times
        return datetime.now(UTC) + timedelta(seconds=again_in) > self.created_at + patience
