"""How a stored request stands, for its owner."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from limner.errors import NotFound
from limner.store import jobs
from limner.store.images import Picture
from limner.store.jobs import Job
from limner.store.keys import Key


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


def find_owned(conn: Connection, caller: Key, request_id: str, *, lock: bool = False) -> Job:
    """A request of the caller's account. Raises ``NotFound`` for those of others as well."""
    job = jobs.find(conn, request_id, lock=lock)
    if job is None or job.account_id != caller.account_id:
        raise not_found(request_id)
    return job


def not_found(request_id: str) -> NotFound:
    """The error for a request that is not there, or not the caller's."""
    return NotFound(f"Request {request_id} not found")
