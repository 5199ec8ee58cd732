"""The durable queue: accepted is stored and paid for; drawn by whichever process has room.

A request is accepted in one transaction (stored, price held) and survives any crash: a lost
process's requests return to the queue, at most ``TRIES_MAX`` times. Several processes may work
on one database; each claims the next request when its engine has room.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import structlog
from sqlalchemy import Connection

from limner.engine.batching.ticket import Event, Started
from limner.errors import LimnerError, NotFound, Unavailable
from limner.store import images, jobs, ledger
from limner.store.jobs import Job
from limner.store.keys import Key
from limner.usecases.drawing import acceptance, models, settlement, storage
from limner.usecases.drawing.generate import Generate
from limner.usecases.drawing.orders import Order, Outcome
from limner.usecases.drawing.running import Running
from limner.usecases.pictures import gallery
from limner.usecases.queueing import cancelling, moving
from limner.usecases.queueing.cancelling import Cancelling
from limner.usecases.queueing.position import Positions
from limner.usecases.queueing.status import Status, find_owned
from limner.usecases.queueing.telling import Telling

__all__ = ["Queue", "Status", "find_owned"]
log = logging.getLogger(__name__)

POLL_S = 0.5
PAUSE_S = 1.0
CLAIM_S = 5.0
RUNNING_MAX = 64
# Claimed requests that this process's engine has not begun, in all and of one key: the rest stay
# in the database, where other processes can have them and fairness between keys is decided.
# Synchronous calls that wait in the engine do not count: a flood of them would otherwise keep the
# queue standing for as long as it lasts.
WAITING_MAX = 8
WAITING_PER_KEY_MAX = 2
PAGE_MAX = 200


class Queue:
    """Accepts, draws, finds and cancels stored requests. Shares ``generate``'s process."""

    def __init__(self, generate: Generate) -> None:
        self._generate = generate
        self.worker = generate.worker
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, str] = {}  # claimed but not begun: request id -> key id
        self._resume_at = 0.0
        self._positions = Positions()
        self._cancelling = Cancelling(self.worker)
        self._loops: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to draw what is queued; after ``Generate.start``."""
        self._loops = [
            asyncio.create_task(self._work(), name="limner-queue"),
            asyncio.create_task(Telling(self.worker).watch(), name="limner-telling"),
            asyncio.create_task(models.watch(self.worker), name="limner-models"),
            asyncio.create_task(storage.watch(self.worker), name="limner-storage"),
        ]

    async def close(self, drain_s: float = 0.0) -> None:
        """Claim no more and let what runs finish; the rest returns to the queue uncounted.

        Before ``Generate.close``.
        """
        self.worker.stopping = True
        self._wake.set()
        if self._loops:  # a claim in the air comes back, and its request into the queue
            await asyncio.wait(self._loops[:1], timeout=CLAIM_S)
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain_s)
        if self._tasks:
            self.worker.stop_all(settlement.Interrupted(settlement.STOPPING))
            await asyncio.wait(self._tasks, timeout=5)

    @property
    def at_work(self) -> set[asyncio.Task[None]]:
        """A task for each claimed request."""
        return self._tasks

    def give_back_unbegun(self) -> None:
        """Return claimed requests of which no picture has begun to the queue, uncounted."""
        for request_id in self._waiting.keys() & self.worker.running.keys():
            self.worker.running[request_id].stop(settlement.Interrupted(settlement.STOPPING))

    async def submit(self, caller: Key, order: Order) -> Status:
        """Accept an order, which is QUEUED; with a used idempotency key, how its first use is."""
        return (await self.submit_all(caller, [order]))[0]

    async def submit_all(self, caller: Key, orders: Sequence[Order]) -> list[Status]:
        """Accept all orders or, when one is refused, none."""
        if not orders:
            return []
        prepared = [await self._generate.prepare(order) for order in orders]
        accepted = await self._generate.accept(caller, prepared, None)
        self._wake.set()
        # As they were accepted: one that is drawn at once was QUEUED all the same.
        return [await self.worker.look(self._describe, job) for job, _ in accepted]

    async def recall(
        self, caller: Key, idempotency_keys: Sequence[str | None], body_sha256: str
    ) -> list[Status | None]:
        """The requests that own idempotency keys, None for each key that is free.

        Raises ``IdempotencyMismatch``.
        """
        for key in idempotency_keys:
            acceptance.check_idempotency_key(key)
        if not any(idempotency_keys):
            return [None] * len(idempotency_keys)
        return await self.worker.read(self._recall, caller, idempotency_keys, body_sha256)

    async def status(self, caller: Key, request_id: str) -> Status:
        """A request of the caller's account. Raises ``NotFound``."""
        return await self.worker.look(self._status, caller, request_id)

    async def result(self, caller: Key, request_id: str) -> Outcome:
        """The pictures of a COMPLETED request. Raises ``NotFound``, ``Gone``."""
        job = (await self.status(caller, request_id)).job
        if job.status != "COMPLETED":
            raise NotFound(f"Request {request_id} has no pictures: it is {job.status}")
        return await self.worker.load(job, replayed=True)

    async def cancel(self, caller: Key, request_id: str) -> Status:
        """Stop a request that is not finished and give its hold back; a finished one stays."""
        ended = await self._end(caller, request_id)
        return await self.status(caller, request_id) if ended is None else ended

    async def move(self, caller: Key, request_id: str, side: str, other_id: str) -> Status:
        """Put a request that waits "before" or "after" another; see ``moving``."""
        await self.worker.write(_move, caller, request_id, side, other_id)
        self._positions.forget()
        return await self.status(caller, request_id)

    async def recent(
        self, caller: Key, *, before: float | None = None, number: int = 50, only: str = "kept"
    ) -> list[Status]:
        """The account's requests stored before a moment, newest first; ``only``: see ``jobs``."""
        moment, most = float("inf") if before is None else before, min(max(1, number), PAGE_MAX)
        return await self.worker.look(self._recent, caller, moment, most, only)

    async def remove(self, caller: Key, request_id: str) -> Status:
        """Cancel a request that is not finished; forget a finished one with its pictures."""
        ended = await self._end(caller, request_id)
        if ended is not None:
            return ended
        status, files = await self.worker.write(self._forget, caller, request_id)
        await self.worker.delete(files)
        return status

    async def _end(self, caller: Key, request_id: str) -> Status | None:
        """A request that was not finished, cancelled; None where it was."""
        ended = await self._cancelling.end(caller, request_id)
        running = self.worker.running.get(request_id)
        if running is not None:
            running.stop(cancelling.cancelled(request_id))
        return ended

    def _forget(
        self, conn: Connection, caller: Key, request_id: str
    ) -> tuple[Status, Sequence[str]]:
        """What is left of a finished request, and files to be deleted."""
        find_owned(conn, caller, request_id, lock=True)
        files = gallery.forget(conn, [request_id])
        return self._status(conn, caller, request_id), files

    def _status(self, conn: Connection, caller: Key, request_id: str) -> Status:
        return self._describe(conn, find_owned(conn, caller, request_id))

    def _recall(
        self, conn: Connection, caller: Key, idempotency_keys: Sequence[str | None], body: str
    ) -> list[Status | None]:
        settings = self.worker.settings
        found = [
            acceptance.find_standing(conn, settings, caller, key, body) for key in idempotency_keys
        ]
        return [None if job is None else self._describe(conn, job) for job in found]

    def _recent(
        self, conn: Connection, caller: Key, before: float, number: int, only: str
    ) -> list[Status]:
        found = jobs.listing(conn, caller.account_id, before=before, number=number, only=only)
        return [self._describe(conn, job) for job in found]

    def _describe(self, conn: Connection, job: Job) -> Status:
        # Only what was completed has pictures.
        drawn = images.of_request(conn, job.id) if job.status == "COMPLETED" else ()
        remaining = ledger.balance(conn, job.account_id).available_micro
        return Status(job, tuple(drawn), remaining, *self._positions.estimate(conn, job))

    async def _work(self) -> None:
        """Claim one after another, each handed to the engine before the next is taken."""
        while not self.worker.stopping:
            # Before looking: whatever comes from now on, also while we look, rings it again.
            self._wake.clear()
            try:
                claimed = await self._claim() if self._has_room() else None
                if claimed is not None:
                    await self._begin(*claimed)
                    continue
            except Exception:
                log.exception("the queue could not be worked on")
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):  # wait_for may swallow a cancellation
                    await self._wake.wait()

    def _has_room(self) -> bool:
        if self.worker.stopping:
            return False
        room = len(self._waiting) < WAITING_MAX and len(self._tasks) < RUNNING_MAX
        paused = time.monotonic() < self._resume_at
        room = room and not self.worker.budget.full and self.worker.files.failure is None
        return room and not paused and self.worker.engine.status().ready

    async def _claim(self) -> tuple[Job, str] | None:
        lease_id = self.worker.lease.id
        waiting = Counter(self._waiting.values())
        full = [key_id for key_id, number in waiting.items() if number >= WAITING_PER_KEY_MAX]
        served = await models.served(self.worker)
        job = await self.worker.write(jobs.claim, lease_id, full, served)
        return None if job is None else (job, lease_id)

    async def _begin(self, job: Job, lease_id: str) -> None:
        while job.id in self.worker.running:  # a try that lost its lease is still being stopped
            await asyncio.sleep(0.05)
        try:
            if self.worker.stopping:
                raise settlement.Interrupted(settlement.STOPPING)
            await models.check(self.worker, job)
        except Exception as error:  # told at once: nobody works on it, and its key waits for it
            await self.worker.settle(job, lease_id, settlement.shown(job.id, error))
            return
        running = self.worker.take(job, lease_id)
        self._waiting[job.id] = job.key_id
        running.listeners.append(partial(self._told, job.id))
        task = asyncio.create_task(self._draw(running))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        await running.submitted.wait()

    def _told(self, request_id: str, event: Event) -> None:
        if isinstance(event, Started) and request_id in self._waiting:
            del self._waiting[request_id]
            self._wake.set()

    async def _draw(self, running: Running) -> None:
        """Draw a claimed request; what goes wrong is settled by the worker."""
        structlog.contextvars.bind_contextvars(request_id=running.job.id)
        try:
            await self.worker.finish(running)
        except Unavailable as error:
            log.info("request %s has to wait: %s", running.job.id, type(error).__name__)
            self._resume_at = time.monotonic() + PAUSE_S
        except LimnerError as error:
            log.info("request %s was not drawn: %s", running.job.id, type(error).__name__)
        finally:
            self._waiting.pop(running.job.id, None)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()


def _move(conn: Connection, caller: Key, request_id: str, side: str, other_id: str) -> None:
    other = find_owned(conn, caller, other_id)
    moving.move(conn, find_owned(conn, caller, request_id), side, other)
