"""How a stored request stands, for its owner."""

from __future__ import annotations

from dataclasses import dataclass

from limner.store.images import Picture
from limner.store.jobs import Job


@dataclass(frozen=True)
class Status:
    """A stored request as its owner sees it.

    ``position`` counts from 1 (the next to be drawn) and is None unless QUEUED; it and
    ``estimate_s``, seconds until the pictures come, are estimates.
    """

    job: Job
    pictures: tuple[Picture, ...]
    remaining_micro: int
    position: int | None = None
    estimate_s: float | None = None

    @property
    def queue_s(self) -> float | None:
        """Seconds it waited before it was begun."""
        return _between(self.job.created_at, self.job.started_at)

    @property
    def total_s(self) -> float | None:
        """Seconds from acceptance to end."""
        return _between(self.job.created_at, self.job.finished_at)


def _between(begin: float, end: float | None) -> float | None:
    """Seconds; none are less than 0, though the clock was set back."""
    return None if end is None else max(0.0, end - begin)
