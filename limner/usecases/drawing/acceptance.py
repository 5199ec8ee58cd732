"""How a request comes in: found by its idempotency key, or checked, stored and its price held."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection

from limner.domain.model import Card
from limner.errors import IdempotencyMismatch, InvalidInput, LimitExceeded, QueueFull
from limner.settings import Settings
from limner.store import ids, images, jobs, keys, ledger
from limner.store.jobs import Job
from limner.store.keys import Key
from limner.store.sql import now
from limner.usecases.drawing.orders import Priced

IDEMPOTENCY_KEY_LENGTH_MAX = 255


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
    model: Card | None = None,
) -> tuple[Job, bool]:
    """Store a request and hold its price; True when it is new.

    ``source_file`` holds the order's pixels, if it has any; only ``model`` may draw it.

    An idempotency key that was used within its time finds the request of its first use. With
    ``lease_id`` the request is worked on at once by its process; without, it is QUEUED. Raises
    ``IdempotencyMismatch``, ``LimitExceeded``, ``InsufficientCredits``, ``QueueFull``.
    """
    order, asked = priced.order, (priced.order.idempotency_key, priced.order.body_sha256)
    request_id = ids.new("req")
    fields = _fields(priced, caller, request_id, model, asynchronous=lease_id is None)
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
    job = jobs.find(conn, request_id)
    assert job is not None
    return job, True


def _fields(
    priced: Priced, caller: Key, request_id: str, model: Card | None, *, asynchronous: bool
) -> dict[str, Any]:
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
        "model": None if model is None else model.name,
        "model_sha256": None if model is None else model.stored_sha256,
        "vae_sha256": None if model is None else model.vae_sha256 or "",
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


def afford(
    conn: Connection, settings: Settings, caller: Key, price_micro: int, waits: bool
) -> None:
    """Raises what ``accept`` would for limits and credits; reads only, and holds nothing.

    ``waits``: the caller waits for the drawing.
    """
    _check_limits(conn, settings, caller, waits=waits, more=1)
    keys.check_cap(keys.get(conn, caller.id), price_micro)
    ledger.afford(conn, caller.account_id, price_micro)


def admit(conn: Connection, settings: Settings, caller: Key, idempotency_key: str | None) -> None:
    """Raises where any drawing would be refused: a spent rate, nothing left to pay with.

    Not for a retry: whoever may not draw again may have what was drawn.
    """
    if idempotency_key is None or not jobs.find_by_idempotency_key(
        conn, caller.id, idempotency_key
    ):
        _check_rate(conn, settings, caller, more=1)
        keys.check_cap(keys.get(conn, caller.id), 0)
        ledger.afford(conn, caller.account_id, 0)


def _check_limits(
    conn: Connection, settings: Settings, caller: Key, *, waits: bool, more: int = 0
) -> None:
    """Rate and concurrency of the key with ``more`` requests than are stored."""
    _check_rate(conn, settings, caller, more=more)
    if waits:
        most = caller.concurrency or settings.key_max_concurrent
        if jobs.count(conn, "PROCESSING", key_id=caller.id) + more > most:
            raise LimitExceeded(f"This key may have {most} requests running at the same time", 2)
        return
    if jobs.count(conn, "QUEUED", key_id=caller.id) + more > settings.key_max_concurrent:
        raise LimitExceeded(
            f"This key may have {settings.key_max_concurrent} requests waiting in the queue", 5
        )
    if jobs.count(conn, "QUEUED") + more > settings.queue_max_requests:
        raise QueueFull(
            f"The queue is full: {settings.queue_max_requests} requests wait already", 5
        )


def _check_rate(conn: Connection, settings: Settings, caller: Key, *, more: int) -> None:
    rate = caller.requests_per_minute or settings.key_max_requests_per_minute
    moment = now(conn)
    number, first = jobs.recent(conn, caller.id, moment - 60, moment)
    if number + more > rate:
        wait = 60 - (moment - first) if first else 60
        raise LimitExceeded(
            f"This key may send {rate} requests a minute; try again in {wait:.0f} s", int(wait) + 1
        )


def _printable(value: str) -> bool:
    return value.isascii() and value.isprintable()
