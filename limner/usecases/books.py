"""What happens to a stored request and its money, one function for one transaction.

Locks are taken in one order everywhere, so that nobody waits in a circle: request, key,
account. A hold's row is only touched by who has its request's.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from sqlalchemy import Connection

from limner.domain.model import ModelInfo
from limner.errors import (
    Aborted,
    EngineFault,
    Gone,
    IdempotencyMismatch,
    InvalidInput,
    LimitExceeded,
    ModelLoading,
    NotFinite,
    NotFound,
    QueueFull,
    Unavailable,
)
from limner.settings import Settings
from limner.store import ids, images, jobs, keys, leases, ledger
from limner.store.jobs import Job
from limner.store.keys import Key
from limner.store.sql import now
from limner.usecases.orders import Priced

TRIES_MAX = 3
IDEMPOTENCY_KEY_LENGTH_MAX = 255


STOPPING = "The server is stopping; nothing was billed. Send it again in a moment"


class Interrupted(Unavailable):
    """The server stops, or has lost its lease, before a request is finished."""


def check_idempotency_key(value: str | None) -> None:
    """Raises ``InvalidInput`` for one that is empty, too long, or not printable ASCII."""
    if value is None or (0 < len(value) <= IDEMPOTENCY_KEY_LENGTH_MAX and _printable(value)):
        return
    raise InvalidInput(
        "Idempotency-Key",
        f"Idempotency-Key must be 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} printable ASCII characters; "
        f"this one has {len(value)}",
    )


def find_standing(
    conn: Connection,
    settings: Settings,
    caller: Key,
    idempotency_key: str | None,
    body_sha256: str,
    *,
    forget: bool = False,
) -> Job | None:
    """The request that owns an idempotency key, unless its time is over; then ``forget`` frees it.

    Raises ``IdempotencyMismatch`` for another body, as it was sent.
    """
    if idempotency_key is None:
        return None
    job = jobs.find_by_idempotency_key(conn, caller.id, idempotency_key)
    if job is None:
        return None
    if not job.open and job.created_at < now(conn) - settings.idempotency_keep_hours * 3600:
        if forget:
            jobs.forget_idempotency_key(conn, job.id)
        return None
    if job.body_sha256 != body_sha256:
        raise IdempotencyMismatch(
            f"Idempotency-Key {idempotency_key!r} was used with another body; "
            "use a new key for a new request"
        )
    return job


def accept(
    conn: Connection,
    settings: Settings,
    caller: Key,
    priced: Priced,
    lease_id: str | None,
    source_file: str = "",
    source_bytes: int = 0,
    *,
    model: ModelInfo | None = None,
) -> tuple[Job, bool]:
    """Store a request and hold its price; True when it is new.

    ``source_file`` holds the order's pixels, if it has any; only ``model`` may draw it.

    An idempotency key that was used within its time finds the request of its first use. With
    ``lease_id`` the request is worked on at once by its process; without, it is QUEUED. Raises
    ``IdempotencyMismatch``, ``LimitExceeded``, ``InsufficientCredits``, ``QueueFull``.
    """
    order, asked = priced.order, (priced.order.idempotency_key, priced.order.body_sha256)
    request_id = ids.new("req")
    fields = _fields(priced, caller, request_id, asynchronous=lease_id is None)
    if model is not None:
        fields |= {"model": model.name, "model_sha256": model.sha256}
    while True:
        standing = find_standing(conn, settings, caller, *asked, forget=True)
        if standing is not None:
            return standing, False
        if jobs.insert(conn, id=request_id, **fields):
            break  # else another call with this idempotency key was quicker
    keys.lock(conn, caller.id)
    _check_limits(conn, settings, caller, waits=lease_id is not None)
    keys.reserve(conn, caller.id, priced.total_micro)
    hold_id = fields["hold_id"]
    ledger.hold(conn, caller.account_id, priced.total_micro, id=hold_id, lease_id=lease_id)
    if source_file:
        _check_room(conn, settings, caller, source_bytes)
        images.add_sources(conn, request_id, set(order.pixels), source_file, source_bytes)
    return _job(conn, request_id), True


def complete(
    conn: Connection,
    job: Job,
    lease_id: str,
    rows: Collection[dict[str, Any]],
    infer_seconds: float,
    adjustments: tuple[str, ...],
) -> int:
    """Store the pictures' rows, capture their price and release the rest; returns the balance.

    Raises ``Aborted`` when the request was cancelled meanwhile, and ``LedgerError`` when this
    process had lost it: nothing is stored then.
    """
    _expect_running(conn, job.id)
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
    if not job.open:
        return job
    keys.give_back(conn, job.key_id, job.price_micro)
    ledger.release(conn, job.hold_id, outcome)
    jobs.finish(conn, job.id, status, error=error)
    return _job(conn, request_id)


def expired(request_id: str) -> Gone:
    """The error for a request whose pictures are no longer kept."""
    return Gone(f"The pictures of request {request_id} are no longer kept")


def settle(conn: Connection, request_id: str, lease_id: str, error: Exception) -> Job:
    """End a request that was not drawn, or queue it again where that may help.

    One that ``lease_id`` no longer carries is left alone: it was cancelled, or another has it.

    An asynchronous one is tried at most ``TRIES_MAX`` times; a try that could not begin or was
    stopped by the server's end does not count, and what cannot succeed is not repeated.
    """
    job = _job(conn, request_id, lock=True)
    if not _carries(conn, lease_id, job):
        return job
    blameless = isinstance(error, Interrupted | QueueFull | ModelLoading)
    hopeless = isinstance(error, NotFinite) or not isinstance(error, EngineFault | Unavailable)
    if job.asynchronous and (blameless or (job.tries < TRIES_MAX and not hopeless)):
        jobs.requeue(conn, job, blameless=blameless)
        return _job(conn, request_id)
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


def _fields(priced: Priced, caller: Key, request_id: str, *, asynchronous: bool) -> dict[str, Any]:
    order = priced.order
    return {
        "key_id": caller.id,
        "account_id": caller.account_id,
        "slug": order.slug,
        "surface": order.surface,
        "idempotency_key": order.idempotency_key,
        "body_sha256": order.body_sha256,
        "lines": [
            {"each_micro": each, "generation": line.model_dump(mode="json")}
            for each, line in priced.lines
        ],
        "adjustments": list(order.adjustments),
        "samples": order.samples,
        "asynchronous": asynchronous,
        "status": "QUEUED" if asynchronous else "PROCESSING",
        "hold_id": f"hold_{request_id.removeprefix('req_')}",
        "price_micro": priced.total_micro,
    }


def _check_room(conn: Connection, settings: Settings, caller: Key, source_bytes: int) -> None:
    """Source pictures of waiting requests take room that only their own account may fill."""
    kept = images.waiting_source_bytes(conn, caller.account_id)
    if kept + source_bytes > settings.sources_max_mib << 20:
        raise LimitExceeded(
            f"The source pictures of this account's waiting requests take {kept >> 20} MiB, and "
            f"this one {max(1, source_bytes >> 20)} MiB more; the limit is "
            f"{settings.sources_max_mib} MiB. Wait until some of them are drawn",
            retry_after_s=10,
        )


def _check_limits(conn: Connection, settings: Settings, caller: Key, *, waits: bool) -> None:
    """Rate and concurrency of the key, this request included; its row is locked."""
    rate = caller.requests_per_minute or settings.key_max_requests_per_minute
    moment = now(conn)
    number, first = jobs.recent(conn, caller.id, moment - 60, moment)
    if number > rate:
        wait = 60 - (moment - first) if first else 60
        raise LimitExceeded(
            f"This key may send {rate} requests a minute; try again in {wait:.0f} s", int(wait) + 1
        )
    if waits:
        most = caller.concurrency or settings.key_max_concurrent
        if jobs.count(conn, "PROCESSING", key_id=caller.id) > most:
            raise LimitExceeded(f"This key may have {most} requests running at the same time", 2)
        return
    if jobs.count(conn, "QUEUED", key_id=caller.id) > settings.key_max_concurrent:
        raise LimitExceeded(
            f"This key may have {settings.key_max_concurrent} requests waiting in the queue", 5
        )
    if jobs.count(conn, "QUEUED") > settings.queue_max_requests:
        raise QueueFull(
            f"The queue is full: {settings.queue_max_requests} requests wait already", 5
        )


def _expect_running(conn: Connection, request_id: str) -> None:
    job = _job(conn, request_id, lock=True)
    if job.status == "CANCELLED":
        raise Aborted(f"Request {request_id} was cancelled")


def _job(conn: Connection, request_id: str, *, lock: bool = False) -> Job:
    job = jobs.find(conn, request_id, lock=lock)
    if job is None:
        raise NotFound(f"Request {request_id} not found")
    return job


def _printable(value: str) -> bool:
    return value.isascii() and value.isprintable()
