"""Stored requests: every call is one, whether its caller waits for it or not.

    QUEUED -> PROCESSING -> COMPLETED | FAILED | CANCELLED

A synchronous request begins in PROCESSING. An asynchronous one waits in QUEUED until a process
claims it, and returns there when that process is lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select, update

from limner.store import turns
from limner.store.ledger import carry
from limner.store.schema import holds, keys, requests
from limner.store.sql import clock, insert_once, now
from limner.store.turns import Pair

OPEN = ("QUEUED", "PROCESSING")
# Which requests are listed: all, those not expired, those that wait or are drawn.
ONLY: dict[str, tuple[ColumnElement[bool], ...]] = {
    "all": (),
    "kept": (requests.c.expired_at.is_(None),),
    "unfinished": (requests.c.status.in_(OPEN),),
}
MEASURED = 256  # requests that tell how fast drawing is


@dataclass(frozen=True)
class Line:
    """One of the generations of a request, as JSON, and what a picture of it costs."""

    generation: dict[str, Any]
    each_micro: int


@dataclass(frozen=True)
class Job:
    """A stored request: its ``lines`` are drawn and settled together.

    ``lines`` is empty once its results have expired; ``samples`` counts the pictures of all lines,
    ``drawn`` those that were paid for. ``model`` names the checkpoint it was accepted for, and
    ``vae_sha256`` is empty for its own VAE; both are None in rows of earlier versions. Amounts in
    micro-credits, times in seconds since the epoch.
    """

    id: str
    key_id: str
    account_id: str
    slug: str
    surface: str
    idempotency_key: str | None
    body_sha256: str
    lines: tuple[Line, ...]
    adjustments: tuple[str, ...]
    model: str | None
    model_sha256: str | None
    vae_sha256: str | None
    samples: int
    asynchronous: bool
    status: str
    tries: int
    hold_id: str
    price_micro: int
    cost_micro: int
    drawn: int
    infer_seconds: float | None
    error_kind: str | None
    error: str | None
    created_at: float
    turn_at: float | None
    started_at: float | None
    finished_at: float | None
    expired_at: float | None

    @property
    def open(self) -> bool:
        """Still to be finished."""
        return self.status in OPEN

    @property
    def generation(self) -> dict[str, Any] | None:
        """The first line's; None once the results have expired."""
        return self.lines[0].generation if self.lines else None


def insert(conn: Connection, **fields: Any) -> bool:
    """Store a request that is QUEUED or PROCESSING; False when its idempotency key is taken.

    Another transaction that is storing the same idempotency key is waited for.
    """
    running = fields["status"] == "PROCESSING"
    moment = clock(conn)
    times = {"created_at": moment, "started_at": moment if running else None}
    defaults = {"tries": int(running), "cost_micro": 0, "drawn": 0, **times}
    return insert_once(conn, requests, {**defaults, **fields})


def find(conn: Connection, request_id: str, *, lock: bool = False) -> Job | None:
    """A request by its id."""
    return _one(conn, requests.c.id == request_id, lock=lock)


def lock(conn: Connection, request_ids: Collection[str]) -> list[Job]:
    """Those of several requests that there are, locked in one order until the transaction ends."""
    mine = select(requests).where(requests.c.id.in_(request_ids)).order_by(requests.c.id)
    return [_job(row) for row in conn.execute(mine.with_for_update(key_share=True))]


def find_by_hold(conn: Connection, hold_id: str, *, lock: bool = False) -> Job | None:
    """The request that a hold pays for."""
    return _one(conn, requests.c.hold_id == hold_id, lock=lock)


def find_by_idempotency_key(conn: Connection, key_id: str, idempotency_key: str) -> Job | None:
    """The request that owns an idempotency key."""
    mine = (requests.c.key_id == key_id) & (requests.c.idempotency_key == idempotency_key)
    return _one(conn, mine)


def forget_idempotency_key(conn: Connection, request_id: str) -> None:
    """Let the request's idempotency key be used anew."""
    change = update(requests).where(requests.c.id == request_id)
    conn.execute(change.values(idempotency_key=None))


def claim(
    conn: Connection,
    lease_id: str,
    full: Collection[str] = (),
    served: Collection[Pair] | None = None,
) -> Job | None:
    """Take the next QUEUED request for this process, fairly between keys.

    First comes the key with the fewest requests running, then the one served longest ago; within
    a key, the least tried, then the oldest, unless its turn was changed. A key never has more
    running than its ``concurrency``, and keys that are ``full`` get no more for now. What was
    accepted for another model or VAE than those ``served`` is left to others. Several processes
    may claim at once: each gets another.
    """
    moment = clock(conn)
    request_id = conn.execute(turns.first(full, served, moment)).scalar()
    if request_id is None:
        return None
    change = update(requests).where(requests.c.id == request_id, requests.c.status == "QUEUED")
    values = {"status": "PROCESSING", "started_at": moment, "tries": requests.c.tries + 1}
    conn.execute(change.values(**values))
    job = find(conn, request_id)
    assert job is not None
    carry(conn, job.hold_id, lease_id)
    conn.execute(update(keys).where(keys.c.id == job.key_id).values(served_at=moment))
    return job


def requeue(conn: Connection, job: Job, *, blameless: bool = False) -> None:
    """Give a PROCESSING request and its hold back to the queue; ``blameless``: no try counted."""
    change = update(requests).where(requests.c.id == job.id, requests.c.status == "PROCESSING")
    tries = job.tries - int(blameless)
    conn.execute(change.values(status="QUEUED", started_at=None, tries=tries))
    carry(conn, job.hold_id, None)


def carried_by(conn: Connection, lease_id: str) -> list[str]:
    """Requests that a lease's process works on."""
    query = (
        select(requests.c.id)
        .join(holds, holds.c.id == requests.c.hold_id)
        .where(holds.c.lease_id == lease_id)
    )
    return list(conn.execute(query).scalars())


def finish(
    conn: Connection,
    request_id: str,
    status: str,
    *,
    error: Exception | None = None,
    **fields: Any,
) -> Job | None:
    """Write how an open request ended; an unsuccessful one gives up its idempotency key.

    None where it had ended before.
    ``fields`` of a completed one: ``cost_micro``, ``drawn``, ``infer_seconds``, ``adjustments``.
    """
    values: dict[str, Any] = {**fields, "status": status, "finished_at": clock(conn)}
    if status != "COMPLETED":
        values["idempotency_key"] = None
    if error is not None:
        values |= {"error_kind": type(error).__name__, "error": str(error).replace("\0", "")}
    mine = (requests.c.id == request_id, requests.c.status.in_(OPEN))
    row = conn.execute(update(requests).where(*mine).values(**values).returning(requests))
    return None if (ended := row.one_or_none()) is None else _job(ended)


def cancelled(conn: Connection, request_ids: Collection[str]) -> set[str]:
    """Which of these requests have been cancelled."""
    mine = (requests.c.id.in_(request_ids), requests.c.status == "CANCELLED")
    return set(conn.execute(select(requests.c.id).where(*mine)).scalars())


def count(conn: Connection, status: str, *, key_id: str | None = None) -> int:
    """How many requests (of one key) are in a status."""
    query = select(func.count()).select_from(requests).where(requests.c.status == status)
    if key_id is not None:
        query = query.where(requests.c.key_id == key_id)
    return int(conn.execute(query).scalar_one())


def recent(conn: Connection, key_id: str, since: float, until: float) -> tuple[int, float | None]:
    """How many requests a key stored after ``since``, and when the first of these was.

    Not those beyond ``until``, now: they are from before the clock was set back.
    """
    query = select(func.count(), func.min(requests.c.created_at)).where(
        requests.c.key_id == key_id, requests.c.created_at > since, requests.c.created_at <= until
    )
    number, first = conn.execute(query).one()
    return int(number), first


def line(conn: Connection) -> list[tuple[str, int]]:
    """Ids and prices in micro-credits of the QUEUED requests, about in the order of their turns.

    Keys take turns: first the first request of each key, by age, then the second of each.
    """
    turn = func.row_number().over(partition_by=requests.c.key_id, order_by=turns.place(requests))
    query = select(requests.c.id, requests.c.price_micro).where(requests.c.status == "QUEUED")
    rows = conn.execute(query.order_by(turn, *turns.place(requests)[1:]))
    return [(request_id, price_micro) for request_id, price_micro in rows]


def spans(conn: Connection, since: float) -> list[tuple[int, float, float]]:
    """Of the last requests finished after ``since``: micro-credits taken, start and end.

    Times in seconds since the epoch; an end is before its start where the clock was set back.
    """
    times = (requests.c.started_at, requests.c.finished_at)
    query = (
        select(requests.c.cost_micro, *times)
        .where(requests.c.status == "COMPLETED", requests.c.finished_at > since)
        .order_by(requests.c.finished_at.desc())
        .limit(MEASURED)
    )
    return [(int(micro), start, end) for micro, start, end in conn.execute(query)]


def listing(
    conn: Connection, account_id: str, *, before: float, number: int, only: str = "all"
) -> list[Job]:
    """An account's requests stored before a moment, newest first; ``only`` is one of ``ONLY``."""
    mine = requests.c.account_id == account_id, requests.c.created_at < before
    query = select(requests).where(*mine, *ONLY[only])
    query = query.order_by(requests.c.created_at.desc()).limit(number)
    return [_job(row) for row in conn.execute(query)]


def expire(conn: Connection, request_ids: Iterable[str]) -> None:
    """The results of these are gone: forget what was asked for as well."""
    mine = (requests.c.id.in_(list(request_ids)), requests.c.expired_at.is_(None))
    values: dict[str, Any] = {"expired_at": clock(conn), "lines": None, "adjustments": []}
    conn.execute(update(requests).where(*mine).values(**values))


def age_of_oldest_open(conn: Connection) -> float:
    """Seconds since the oldest request that has not ended was stored; 0 when there is none."""
    query = select(func.min(requests.c.created_at)).where(requests.c.finished_at.is_(None))
    oldest = conn.execute(query).scalar()
    return 0.0 if oldest is None else max(0.0, now(conn) - float(oldest))


def finished_before(
    conn: Connection, moment: float, *, number: int, account_id: str | None = None
) -> list[str]:
    """Ids of requests that ended before a moment and have not expired, oldest first."""
    query = select(requests.c.id).where(
        requests.c.finished_at < moment, requests.c.expired_at.is_(None)
    )
    if account_id is not None:
        query = query.where(requests.c.account_id == account_id)
    query = query.order_by(requests.c.finished_at).limit(number)
    return list(conn.execute(query).scalars())


def _one(conn: Connection, condition: ColumnElement[bool], *, lock: bool = False) -> Job | None:
    query = select(requests).where(condition)
    row = conn.execute(query.with_for_update(key_share=True) if lock else query).one_or_none()
    return None if row is None else _job(row)


def _job(row: Row[Any]) -> Job:
    fields = dict(row._mapping)
    lines = tuple(Line(**line) for line in fields["lines"] or ())
    return Job(**{**fields, "lines": lines, "adjustments": tuple(fields["adjustments"])})
