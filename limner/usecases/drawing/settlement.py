"""What happens to a stored request and its money, one function for one transaction.

Locks are taken in one order everywhere, so that nobody waits in a circle: request, key,
account; of several of a kind, by their ids. A hold's row is only touched by who has its request's.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any, Literal

from sqlalchemy import Connection

from limner.errors import (
    Aborted,
    EngineBroken,
    EngineFault,
    Gone,
    LimnerError,
    ModelLoading,
    NotFinite,
    NotFound,
    QueueFull,
    StorageUnavailable,
    Unavailable,
)
from limner.store import images, jobs, keys, leases, ledger
from limner.store.jobs import Job
from limner.store.sql import now

log = logging.getLogger(__name__)

TRIES_MAX = 3


STOPPING = "The server is stopping; nothing was billed. Send it again in a moment"
LEASE_LOST = (
    "The server could not reach its database in time to keep this request: the database was busy "
    "or away, or the server stood still. Nothing was billed; send it again"
)


class Interrupted(Unavailable):
    """The server stops, or has lost its lease, before a request is finished."""


BLAMELESS = (Interrupted, QueueFull, ModelLoading, EngineBroken, StorageUnavailable)


def complete(
    conn: Connection,
    job: Job,
    lease_id: str,
    rows: Collection[dict[str, Any]],
    infer_seconds: float,
    adjustments: tuple[str, ...],
) -> int:
    """Store the pictures' rows, capture their price and release the rest; returns the balance.

    Raises ``Aborted`` when the request was cancelled meanwhile, and ``Interrupted`` when this
    process had lost it: nothing is stored then.
    """
    _expect_running(conn, job.id, lease_id)
    cost = sum(row["price_micro"] for row in rows)
    if cost < job.price_micro:
        keys.give_back(conn, job.key_id, job.price_micro - cost)
    ledger.capture(conn, job.hold_id, cost, lease_id=lease_id)
    for row in rows:
        images.add(conn, request_id=job.id, **row)
    jobs.finish(
        conn,
        job.id,
        "COMPLETED",
        cost_micro=cost,
        drawn=len(rows),
        infer_seconds=infer_seconds,
        adjustments=list(adjustments),
    )
    return ledger.balance(conn, job.account_id).available_micro


def abandon(
    conn: Connection,
    request_id: str,
    status: Literal["FAILED", "CANCELLED"],
    error: Exception,
    outcome: Literal["release", "expire"] = "release",
) -> Job:
    """End an open request without a picture and give its hold back; a finished one stays."""
    job = _job(conn, request_id, lock=True)
    return give_up(conn, [(job, error)], status, outcome)[0] if job.open else job


def give_up(
    conn: Connection,
    ending: Collection[tuple[Job, Exception]],
    status: Literal["FAILED", "CANCELLED"],
    outcome: Literal["release", "expire"] = "release",
) -> list[Job]:
    """``abandon`` for open requests that this transaction has locked, each with its error."""
    for key_id, micro in ledger.sums((job.key_id, job.price_micro) for job, _ in ending):
        keys.give_back(conn, key_id, micro)
    ledger.release_all(conn, [job.hold_id for job, _ in ending], outcome)
    ended = [jobs.finish(conn, job.id, status, error=error) for job, error in ending]
    return [job for job in ended if job is not None]


def outcome(conn: Connection, job: Job) -> tuple[list[images.Picture], int]:
    """The pictures of a COMPLETED request and its account's balance. Raises ``Gone``."""
    rows = images.of_request(conn, job.id)
    if not rows:
        raise expired(job.id)
    return rows, ledger.balance(conn, job.account_id).available_micro


def expired(request_id: str) -> Gone:
    """The error for a request whose pictures are no longer kept."""
    return Gone(f"The pictures of request {request_id} are no longer kept")


def settle(conn: Connection, request_id: str, lease_id: str, error: Exception) -> Job:
    """End a request that was not drawn, or queue it again where that may help.

    One that ``lease_id`` no longer carries is left alone: it was cancelled, or another has it.

    An asynchronous one is tried at most ``TRIES_MAX`` times; a try that could not begin or was
    stopped by the server's end does not count, and what cannot succeed is not repeated. Nor does
    one that the engine's end stopped, unless it was drawn at that moment: else one that breaks
    every engine would do so for ever.
    """
    job = _job(conn, request_id, lock=True)
    if not _carries(conn, lease_id, job):
        return job
    suspect = isinstance(error, EngineBroken) and error.suspect
    blameless = isinstance(error, BLAMELESS) and not suspect
    hopeless = isinstance(error, NotFinite) or not isinstance(error, EngineFault | Unavailable)
    if job.asynchronous and (blameless or (job.tries < TRIES_MAX and not hopeless)):
        jobs.requeue(conn, job, blameless=blameless)
        return _job(conn, request_id)
    if suspect and job.asynchronous:
        error = EngineFault(
            f"The engine broke {TRIES_MAX} times while it drew this, though it had drawn something "
            "before; this is not tried again, and nothing was billed."
        )
    return abandon(conn, request_id, "CANCELLED" if isinstance(error, Aborted) else "FAILED", error)


def recover(conn: Connection, hold_id: str) -> None:
    """Give back a hold whose process is gone; its request is queued again or FAILED."""
    job = jobs.find_by_hold(conn, hold_id, lock=True)
    if leases.is_dead(conn, hold_id, now(conn)):
        _forsake(conn, hold_id, job)


def forsake(conn: Connection, request_id: str, lease_id: str) -> None:
    """The same for a request that this process's lease carries and nobody works on."""
    job = _job(conn, request_id, lock=True)
    if _carries(conn, lease_id, job):
        _forsake(conn, job.hold_id, job)


def _carries(conn: Connection, lease_id: str, job: Job) -> bool:
    hold = ledger.find_hold(conn, job.hold_id, lock=True)
    return hold is not None and hold.lease_id == lease_id


def _forsake(conn: Connection, hold_id: str, job: Job | None) -> None:
    error = EngineFault(
        "The server stopped before this was finished; nothing was billed. Send it again."
    )
    if job is None:
        ledger.release(conn, hold_id, "expire")
    elif job.asynchronous and job.tries < TRIES_MAX:
        jobs.requeue(conn, job)
    else:
        abandon(conn, job.id, "FAILED", error, "expire")


def _expect_running(conn: Connection, request_id: str, lease_id: str) -> None:
    job = _job(conn, request_id, lock=True)
    if job.status == "CANCELLED":
        raise Aborted(f"Request {request_id} was cancelled")
    if not _carries(conn, lease_id, job):
        raise Interrupted(LEASE_LOST)


def _job(conn: Connection, request_id: str, *, lock: bool = False) -> Job:
    job = jobs.find(conn, request_id, lock=lock)
    if job is None:
        raise NotFound(f"Request {request_id} not found")
    return job


def shown(request_id: str, error: Exception) -> LimnerError:
    """The error as the caller may see it; what nobody foresaw is logged."""
    if isinstance(error, LimnerError):
        return error
    log.error("request %s failed", request_id, exc_info=error)
    return EngineFault("Drawing failed inside the server; nothing was billed.")
