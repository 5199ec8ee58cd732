"""Draw for a caller who waits: quote, accept, and see the worker through to the settlement.

A synchronous call is a stored request that begins in PROCESSING and is waited for. Its work
runs in a task of its own, so that a caller who goes away cannot leave it half settled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection

from limner import pools
from limner.domain.params import Generation
from limner.domain.pricing import Quote
from limner.engine.batching.client import EngineStatus
from limner.errors import (
    DatabaseUnavailable,
    LimnerError,
    QueueFull,
    WaitedTooLong,
)
from limner.store import jobs
from limner.store.jobs import Job
from limner.store.keys import Key
from limner.usecases.drawing import acceptance, models, settlement
from limner.usecases.drawing.adapters import AdapterFiles
from limner.usecases.drawing.choosing import Chosen
from limner.usecases.drawing.orders import Listener, Order, Outcome, Priced, StoredPicture
from limner.usecases.drawing.prices import price
from limner.usecases.drawing.running import Running, Serving, retrieve
from limner.usecases.drawing.sources import pack
from limner.usecases.drawing.worker import Worker

__all__ = ["Generate", "Order", "Outcome", "StoredPicture"]

log = logging.getLogger(__name__)

POLL_S = 0.05, 0.5
T = TypeVar("T")


class Generate:
    """Serves callers who wait; ``start`` it before use and ``close`` it before the database."""

    def __init__(self, worker: Worker, adapters: AdapterFiles | None = None) -> None:
        self.worker = worker
        self._adapters = adapters or AdapterFiles()
        self.settings = worker.settings
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        """Open this process's lease; give back what dead processes held."""
        await self.worker.start()

    async def close(self, drain_s: float = 0.0) -> None:
        """Let what runs finish for ``drain_s`` seconds, then stop the rest; nothing is lost."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain_s)
        self.worker.stopping = True
        self.worker.stop_all(settlement.Interrupted(settlement.STOPPING))
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)
        await self.worker.close()

    @property
    def at_work(self) -> set[asyncio.Task[Outcome]]:
        """A task for each call that is accepted, drawn or waited for."""
        return self._tasks

    async def choose(
        self, model: str = "", vae: str = "", loras: Sequence[str] = ()
    ) -> Chosen | None:
        """What draws a request that names these; see ``choosing.Models.choose``."""
        return await pools.MODELS.run(self.worker.models.choose, model, vae, loras)

    async def recognize(self, record: Mapping[str, Any]) -> Chosen | None:
        """The model that a receipt names, if this server has it."""
        return await pools.MODELS.run(self.worker.models.of_receipt, record)

    async def with_words(self, generation: Generation) -> Generation:
        """The same with the embeddings that its prompts name, beside those that LoRAs bring.

        Raises ``InvalidInput`` for what cannot be used.
        """
        return await pools.MODELS.run(self._adapters.with_words, generation)

    async def quote(
        self, generation: Generation, choice: Chosen | None = None, caller: Key | None = None
    ) -> Quote:
        """The price of a generation.

        Raises ``InvalidInput`` when there is nothing to draw, and for files of LoRAs and embeddings
        with which ``choice``, where it is given, cannot draw; ``ModelNotAllowed`` for files with
        which ``caller``, where it is given, may not.
        """
        [bound] = await self._adapters.bound((generation,))
        if caller is not None:
            own = self.worker.models.own()
            await models.permit(self.worker, caller, (bound,), choice or own)
        if choice is not None:
            boxes = tuple(each for each in bound.regions if each.mask_sha256 is None)
            # No pixels are at hand, so nothing is planned that is made of some.
            source = bound.source if bound.sd_upscale else None  # of tiles the sizes are known
            pictured = {"controls": (), "source": source, "regions": boxes}
            alone = bound.model_copy(update=pictured)
            await self._adapters.check((alone,), self.worker.engine, choice.model, choice.vae)
        quoted, _ = await pools.WORDS.run(price, bound)
        return quoted

    async def afford(
        self, caller: Key, lines: Sequence[Generation], beside_micro: int = 0, *, waits: bool
    ) -> int:
        """The price of ``lines`` and ``beside_micro``; raises what ``acceptance.afford`` does."""
        quotes = [await self.quote(line) for line in lines]
        price_micro = beside_micro + sum(quoted.total_micro for quoted in quotes)
        await self.worker.look(acceptance.afford, self.settings, caller, price_micro, waits)
        return price_micro

    async def admit(self, caller: Key, idempotency_key: str | None) -> None:
        """Raises what ``acceptance.admit`` does, before a long body is read."""
        acceptance.check_idempotency_key(idempotency_key)
        await self.worker.look(acceptance.admit, self.settings, caller, idempotency_key)

    async def run(self, caller: Key, order: Order) -> Outcome:
        """Draw an order, or find what its idempotency key has drawn.

        When the awaiting task is cancelled (the client left), the work is stopped and its hold
        released, unless the order has an idempotency key: then it is finished and kept for the
        retry. Raises every error of ``limner.errors`` that concerns drawing; none is billed.
        """
        priced = await self.prepare(order)
        serving = Serving()
        task = self._spawn(self._serve(caller, priced, serving))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if order.idempotency_key is None:
                serving.leave()
            raise

    async def recall(
        self, caller: Key, idempotency_key: str, body_sha256: str, on_event: Listener | None = None
    ) -> Outcome | None:
        """What an idempotency key has drawn, waited for while it is drawn; None where it is free.

        Nothing is drawn by chance and no balance looked at before this is known. Raises
        ``IdempotencyMismatch``, and what ended the drawing that was waited for.
        """
        acceptance.check_idempotency_key(idempotency_key)
        asked = caller, idempotency_key, body_sha256
        job = await self.worker.read(acceptance.find_standing, self.settings, *asked)
        if job is None:
            return None
        deadline = time.monotonic() + self.settings.wait_max_s
        work = self._await_standing(job, on_event, deadline)
        return await asyncio.shield(self._spawn(work))

    async def prepare(self, order: Order) -> Priced:
        """Check and price an order; its adjustments gain what the prompt's parser changed."""
        acceptance.check_idempotency_key(order.idempotency_key)
        order = replace(order, choice=order.choice or self.worker.models.own())
        if order.samples > self.settings.queue_max_requests:
            raise QueueFull(f"The queue takes {self.settings.queue_max_requests} pictures at once")
        order = replace(order, lines=await self._adapters.bound(order.lines))
        prices = [await pools.PRICES.run(price, line) for line in order.lines]
        named = ("", "") if order.choice is None else (order.choice.model, order.choice.vae)
        await self._adapters.check(order.lines, self.worker.engine, *named)
        notes = [note for _, told in prices for note in told]
        card = None if order.choice is None else order.choice.card
        models.check_lines(card, order.lines)
        notes += models.told(card, order.lines)
        told = tuple(dict.fromkeys((*order.adjustments, *notes)))
        each_micro = tuple(quoted.each_micro for quoted, _ in prices)
        return Priced(replace(order, adjustments=told), each_micro)

    async def accept(
        self, caller: Key, orders: Sequence[Priced], lease_id: str | None
    ) -> list[tuple[Job, bool]]:
        """Store orders and hold their prices, all or none; True with those that are new.

        Source pixels are written first, so that an accepted request can always be drawn. While no
        model is loaded, old requests are found and new ones refused with ``ModelLoading``.
        """
        asked = [(priced.order.lines, priced.order.choice) for priced in orders]
        cards = [await models.permit(self.worker, caller, *each) for each in asked]
        packed = [await self._pack(priced.order) for priced in orders]
        status = self.worker.engine.status()

        def transaction(conn: Connection) -> list[tuple[Job, bool]]:
            for card in filter(None, cards):
                models.check_licence(conn, caller.id, card)
            accepted = [
                acceptance.accept(conn, self.settings, caller, priced, lease_id, *file, model=card)
                for priced, file, card in zip(orders, packed, cards, strict=True)
            ]
            if any(new for _, new in accepted):
                self._expect_open(status)
            return accepted

        began = time.perf_counter()
        try:
            accepted = await self.worker.write(transaction)
            log.debug("held", extra={"seconds": round(time.perf_counter() - began, 5)})
        except DatabaseUnavailable:  # perhaps accepted: the sweeper will know
            raise
        except LimnerError:
            await self.worker.delete([f for f, _ in packed if f])
            raise
        unused = [f for (f, _), (_, new) in zip(packed, accepted, strict=True) if f and not new]
        await self.worker.delete(unused)
        return accepted

    def trouble(self) -> str | None:
        """Why nothing that is drawn could be kept now, in a sentence; asks nobody."""
        failure = self.worker.files.failure or self.worker.database.failure
        return None if failure is None else str(failure)

    def _expect_open(self, status: EngineStatus) -> None:
        """Raises what a new request is refused with while nothing can be drawn and kept."""
        if self.worker.stopping:
            raise settlement.Interrupted(settlement.STOPPING)
        status.loaded()
        self.worker.files.expect_working()

    async def _pack(self, order: Order) -> tuple[str, int]:
        """Write the order's source pixels; the file's name and size, or ``("", 0)``."""
        if not order.pixels:
            return "", 0
        data = await pools.FILES.run(pack, order.pixels)
        return await self.worker.in_store(self.worker.sources.write, data, order.pixels), len(data)

    async def _serve(self, caller: Key, priced: Priced, serving: Serving) -> Outcome:
        """Accept and draw; or join the request that has the idempotency key."""
        deadline = time.monotonic() + self.settings.wait_max_s
        while True:
            lease_id = self.worker.lease.id
            [(job, new)] = await self.accept(caller, [priced], lease_id)
            if new:
                return await self._draw(job, lease_id, priced.order, serving)
            standing = await self._await_standing(job, priced.order.on_event, deadline)
            if standing is not None:
                return standing

    async def _await_standing(
        self, job: Job, on_event: Listener | None, deadline: float
    ) -> Outcome | None:
        """The outcome of a request that others began; None when it ended and gave up its key.

        What another process draws, or will, is asked for in the database until then.
        """
        found: Job | None = job
        pause = POLL_S[0]
        while found is not None and found.open:
            if (running := self.worker.running.get(job.id)) is not None:
                return await self._join(running, on_event)
            if time.monotonic() >= deadline:
                raise WaitedTooLong(
                    "The request with this idempotency key took over "
                    f"{self.settings.wait_max_s:g} s",
                    retry_after_s=30,
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, POLL_S[1])
            found = await self.worker.look(jobs.find, job.id)
        if found is None or found.status != "COMPLETED":
            return None
        return await self.worker.load(found, replayed=True)

    async def _draw(self, job: Job, lease_id: str, order: Order, serving: Serving) -> Outcome:
        structlog.contextvars.bind_contextvars(request_id=job.id)
        if order.on_stored is not None:
            order.on_stored(job.id)
        running = self.worker.take(job, lease_id, order.on_event)
        serving.join(running)
        return await self.worker.finish(running, self.settings.wait_max_s)

    async def _join(self, running: Running, on_event: Listener | None) -> Outcome:
        """Wait for a request of this process; its outcome is a replay for this caller."""
        self.worker.listen(running, on_event)
        await asyncio.wait([running.outcome])
        outcome = running.outcome.result()
        job = await self.worker.read(jobs.find, outcome.request_id)
        assert job is not None
        return await self.worker.load(job, replayed=True)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(retrieve)
        return task
