"""Where stored requests become stored pictures: the part that waiting and queued calls share."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from functools import partial

from limner import pools
from limner.engine.batching.client import EngineClient
from limner.engine.batching.ticket import Drawn, Event, Failed
from limner.errors import (
    DatabaseUnavailable,
    EngineBroken,
    LimnerError,
    Unavailable,
    WaitedTooLong,
)
from limner.models.listing import Library
from limner.settings import Settings
from limner.settings.few_steps import families
from limner.store import images
from limner.store.db import Database
from limner.store.jobs import Job
from limner.usecases.drawing import pictures as made_of
from limner.usecases.drawing import settlement
from limner.usecases.drawing.choosing import Chosen, Models
from limner.usecases.drawing.events import EventLogs
from limner.usecases.drawing.lease import Lease
from limner.usecases.drawing.orders import Outcome, StoredPicture
from limner.usecases.drawing.pictures import Written, apart, taken, undamaged
from limner.usecases.drawing.running import Running, lines_of, sink_of, tickets
from limner.usecases.drawing.sources import Sources, reference_of, wanted
from limner.usecases.drawing.threads import Threads

log = logging.getLogger(__name__)


class Worker(Threads):
    """Draws stored requests with one engine, never on the event loop; one in each process.

    ``library`` has the models beside the engine's own. ``sources`` are those that the engine reads
    from, so that what is held here is not read again; pictures are kept among their files.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        engine: EngineClient,
        sources: Sources,
        library: Library | None = None,
    ) -> None:
        super().__init__(database, settings.database_pool_size)
        self.settings = settings
        self.engine = engine
        self.models_library = library
        few = families(settings.few_steps)
        self.models = Models(lambda: engine.status().model, engine.expect_model, library, few)
        self.running: dict[str, Running] = {}
        self.stopping = False  # nothing is claimed and nothing new accepted any more
        self.sources = sources
        self.files = sources.files
        self.budget = sources.budget
        self.logs = EventLogs()
        self.lease = Lease(database, settings.lease_s, self._running_ids, self._lost)

    async def start(self) -> None:
        """Open this process's lease and recover what dead processes left."""
        self._loop = asyncio.get_running_loop()
        await self.in_store(self.lease.start)

    def watch(self, request_id: str) -> None:
        """Have previews made of a request, if this process draws it."""
        if request_id in self.running:
            self.running[request_id].watched = True
            self.engine.watch(request_id)

    def listen(self, running: Running, listener: Callable[[Event], None] | None) -> None:
        """Call ``listener`` with each event from now on; it wants previews as well."""
        if listener is not None:
            running.listeners.append(listener)
            self.watch(running.job.id)

    def stop_all(self, error: settlement.Interrupted) -> None:
        """Draw no further; every running request ends with ``error`` and is not billed."""
        for running in list(self.running.values()):
            running.stop(error)

    async def close(self) -> None:
        """End the lease, giving back what it still carries. The database stays open."""
        await self.in_store(self.lease.close)
        self.shut_down()

    def take(
        self,
        job: Job,
        lease_id: str,
        listener: Callable[[Event], None] | None = None,
    ) -> Running:
        """Put a PROCESSING request, carried by this process's lease, among the running ones."""
        running = self.running[job.id] = Running(job, lease_id, lines_of(job))
        self.listen(running, listener)
        return running

    async def finish(self, running: Running, wait_s: float | None = None) -> Outcome:
        """Draw a request and settle it, whatever happens; tells all who wait for it."""
        notes = self.logs.open(running.job.id)
        running.listeners.append(notes.tell)
        try:
            outcome = await self._drawn_or_settled(running, wait_s)
        except Exception as error:
            running.outcome.set_exception(settlement.shown(running.job.id, error))
            raise
        finally:
            del self.running[running.job.id]
            notes.close()
        running.outcome.set_result(outcome)
        return outcome

    async def _drawn_or_settled(self, running: Running, wait_s: float | None) -> Outcome:
        try:
            return await self.draw(running, wait_s)
        except Exception as error:
            told = settlement.shown(running.job.id, error)
            settled = await self.settle(running.job, running.lease_id, told)
            if settled is not None and settled.status == "COMPLETED":
                # The database had taken it, and only its answer was lost.
                _, balance = await self.read(settlement.outcome, settled)
                return await taken(settled, running.lines, running.written, balance)
            await self._discard(running, error)
            if told is error:
                raise
            raise told from error

    async def draw(self, running: Running, wait_s: float | None = None) -> Outcome:
        """Draw, store and capture; whatever goes wrong is raised and left to be settled.

        Raises ``WaitedTooLong`` after ``wait_s`` seconds, and the first image's error when no
        image came; when only some came, these are the outcome, and the adjustments say so.
        """
        began = time.monotonic()
        try:
            async with asyncio.timeout(wait_s):
                made, errors = await self._collect(running)
        except TimeoutError:
            self.engine.abort(running.job.id)
            raise WaitedTooLong(
                f"The picture did not come within {wait_s:g} s; it was stopped and not billed",
                retry_after_s=30,
            ) from None
        except BaseException:
            self.engine.abort(running.job.id)
            raise
        lost = [error for error in errors if isinstance(error, EngineBroken)]
        if lost and (not made or running.job.asynchronous):  # all of it may still be drawn
            raise max(lost, key=lambda error: error.suspect)
        if not made:
            raise errors[0]
        return await self._keep(running, made, errors, time.monotonic() - began)

    async def load(self, job: Job, *, replayed: bool) -> Outcome:
        """The outcome of a COMPLETED request, from the store: what is kept of it.

        Raises ``Gone`` when nothing is.
        """
        rows, balance = await self.read(settlement.outcome, job)
        try:
            pictures = [await self.in_store(self.open_picture, row) for row in rows]
        except LimnerError:
            if len(await self.read(images.of_request, job.id)) == len(rows):
                raise
            return await self.load(job, replayed=replayed)  # somebody deleted one meanwhile
        told = job.adjustments
        if len(rows) < job.drawn:
            told += (f"{job.drawn - len(rows)} of {job.drawn} pictures have been deleted since",)
        finished, firsts = apart(pictures, job.samples)
        if not finished:
            raise settlement.expired(job.id)
        of_all = (job.cost_micro, balance, job.infer_seconds or 0.0, told, replayed, lines_of(job))
        return Outcome(job.id, finished, *of_all, firsts)

    def open_picture(self, row: images.Picture) -> StoredPicture:
        """A stored picture with its file. Blocks. Raises ``NotFound``, ``Damaged``."""
        return StoredPicture(
            row.id,
            row.index,
            row.seed,
            row.width,
            row.height,
            undamaged(self.files, row),
            row.receipt,
        )

    def delete_files(self, files: Iterable[str]) -> None:
        """Delete files whose rows are gone. Blocks."""
        for file in files:
            self.files.delete(file)

    async def delete(self, files: Collection[str]) -> None:
        """``delete_files`` off the event loop."""
        if files:  # else it would wait for a thread
            await self.in_store(self.delete_files, files)

    async def settle(self, job: Job, lease_id: str, error: LimnerError) -> Job | None:
        """Give back what was not drawn; the request as it then is.

        None when even that fails: the lease does it later.
        """
        try:
            return await self.write_end(job.key_id, settlement.settle, job.id, lease_id, error)
        except Exception:
            log.exception("request %s could not be settled yet", job.id)
            return None

    async def _collect(self, running: Running) -> tuple[list[Written], list[Exception]]:
        """Submit, and follow the events until every image has ended."""
        try:
            await self._submit(running)
        finally:
            running.submitted.set()
        written, errors = running.written, list[Exception]()
        async for end in running.ends():
            if isinstance(end, Drawn):
                written += self._write_pictures(running, end)
            elif isinstance(end, Failed):
                errors.append(end.error)
            else:
                errors.append(EngineBroken(end.reason, suspect=end.suspect))
        return sorted(await asyncio.gather(*written), key=lambda one: one.picture.index), errors

    async def _submit(self, running: Running) -> None:
        reference, sink, lines = None, sink_of(running), running.lines
        choice = await self.chosen(running.job)
        if wanted(*lines):
            reference = await self.read(reference_of, running.job.id, *lines)
        for ticket in tickets(running, reference, choice):
            await self.to_engine(self.engine.submit, ticket, sink)
        if running.watched:  # perhaps only since the last line was on its way
            self.engine.watch(running.job.id)

    async def chosen(self, job: Job) -> Chosen:
        """The model a request was accepted for. Raises ``Unavailable`` where it is gone."""
        found = await pools.MODELS.run(self.models.recall, job.model_sha256, job.vae_sha256)
        if found is None:
            self.engine.status().loaded()
            raise Unavailable(f"The model {job.model}, with its VAE, is no longer on this server")
        return found

    def _write_pictures(self, running: Running, drawn: Drawn) -> list[asyncio.Future[Written]]:
        write = partial(made_of.write_picture, self.files, embed=self.settings.embed_metadata)
        those = made_of.with_first_pass(*running.picture(drawn.index), drawn, running.job.samples)
        return [self.in_encoder(partial(write, *each)) for each in those]

    async def _keep(
        self,
        running: Running,
        made: list[Written],
        errors: list[Exception],
        seconds: float,
    ) -> Outcome:
        job, rows = running.job, [one.row for one in made]
        adjustments = job.adjustments
        pictures, firsts = apart((one.picture for one in made), job.samples)
        if errors:
            adjustments += (
                f"{len(pictures)} of {job.samples} pictures could be drawn, and only these are "
                f"billed: {errors[0]}",
            )
        # A sweeper, or a person, may have taken a file that had no row yet.
        await self.in_store(made_of.write_missing, self.files, made)
        ending = settlement.complete, job, running.lease_id, rows, seconds, adjustments
        balance = await self.write_end(job.key_id, *ending)
        cost = sum(row["price_micro"] for row in rows)
        told = (cost, balance, seconds, adjustments, False, running.lines)
        return Outcome(job.id, pictures, *told, firsts)

    async def _discard(self, running: Running, error: Exception) -> None:
        """Delete the files of pictures that were not billed; not where that is not known."""
        if isinstance(error, DatabaseUnavailable) or not isinstance(error, LimnerError):
            return
        made = await asyncio.gather(*running.written, return_exceptions=True)
        files = [one.row["file"] for one in made if isinstance(one, Written)]
        try:
            await self.delete(files)
        except Exception:  # the sweeper finds them
            log.exception("files of request %s could not be deleted yet", running.job.id)

    def _lost(self) -> None:
        # A loop that is closed has nothing running any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(
                self.stop_all, settlement.Interrupted(settlement.LEASE_LOST)
            )

    def _running_ids(self) -> list[str]:
        return list(self.running)
