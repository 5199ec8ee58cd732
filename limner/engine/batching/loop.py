"""The engine: one thread that alternates between deciding (scheduler) and computing (runner).

A step is: read the inbox (aborts and arrivals), admit, schedule, run, hand out what finished or
have it prepared for its next phase. Nothing else touches the state of an image; callers speak to
the thread only through its inbox, and preparation (tracing samplers, encoding prompts, drawing
noise) happens on a second thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from limner.engine.batching.admission import expect_fits
from limner.engine.batching.client import EngineStats, EngineStatus, Runner
from limner.engine.batching.faults import FIRST, TRIES, Ending, expect_working, fail, lose, run
from limner.engine.batching.image import Image
from limner.engine.batching.inbox import Inbox
from limner.engine.batching.preparing import Preparer
from limner.engine.batching.request import Request
from limner.engine.batching.scheduler import Scheduler
from limner.engine.batching.state import State
from limner.engine.batching.ticket import (
    Drawn,
    End,
    Failed,
    Progress,
    Reader,
    Sink,
    Started,
    Ticket,
    read_nothing,
)
from limner.errors import Aborted, EngineBroken, EngineFault, LimnerError

log = logging.getLogger(__name__)

FAULT = "Drawing failed inside the engine."
CANCELLED = "The request was cancelled."


class ThreadEngine:
    """``EngineClient`` over a runner in this process.

    ``load(say)`` makes the runner on the engine's thread and tells through ``say`` what it is
    doing; until it returns every submit is answered with ``ModelLoading``. ``read`` finds what
    tickets start from, on the thread that submits. ``failure`` holds what ended the engine: an
    error of loading, or ``EngineBroken``. At most ``max_queue`` images are known at once; those
    in flight stay under ``max_bytes`` (None: what the runner finds free). ``prove``: the runner
    draws a picture of its own before it takes any; so what breaks it later is suspected at once.
    """

    def __init__(
        self,
        load: Callable[[Callable[[str], None]], Runner],
        *,
        read: Reader = read_nothing,
        max_queue: int = 256,
        max_bytes: int | None = None,
        prove: bool = False,
    ) -> None:
        self._load, self._prove = load, prove
        self._at_work: list[Image] = []  # what is drawn at this moment
        self._read, self._max_bytes = read, max_bytes
        self._inbox = Inbox()
        self._state = State(max_queue)
        self._stopped, self._busy_s = False, 0.0
        self._steps = self._rows = self._images = 0
        self._runner: Runner  # both are set before a model is published
        self._scheduler: Scheduler
        self._preparer = Preparer(
            prepare=lambda image: self._runner.prepare(image),
            done=lambda *outcome: self._inbox.put(lambda: self._prepared(*outcome)),
        )
        self._thread = threading.Thread(target=self._main, name="limner-engine", daemon=True)
        self._thread.start()

    # What callers use, from any thread.

    @property
    def failure(self) -> Exception | None:
        return self._state.failure

    def expect_model(self, model: str = "", vae: str = "") -> None:
        self.status().loaded()
        self._runner.expect_model(model, vae)

    def submit(self, ticket: Ticket, sink: Sink) -> None:
        self.expect_model(ticket.model, ticket.vae)
        images = self._runner.plan(Request.of(ticket, sink, self._read))
        expect_fits(images, self._max_bytes or self._runner.max_bytes)
        self._state.enter(len(images), lambda: self._inbox.put(lambda: self._arrive(images)))

    def abort(self, request_id: str) -> None:
        self._inbox.put(lambda: self._drop(request_id, fail(Aborted(CANCELLED))))

    def watch(self, request_id: str) -> None:
        self._inbox.put(lambda: self._watch(request_id))

    def status(self) -> EngineStatus:
        return self._state.status

    def close(self, drain_s: float = 0.0) -> None:
        self._state.close()
        deadline = time.monotonic() + drain_s
        while self._state.open_images and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        self._inbox.put(self._stop)
        self._thread.join(timeout=30)
        self._preparer.close()

    # The engine's thread.

    def _main(self) -> None:
        try:
            runner = self._load(self._say)
            if self._prove:
                self._say("drawing a first picture")
                expect_working(runner, plain=FIRST)
        except Exception as error:
            self._state.fail(error)
            # An error of ours is its sentence; only a fault needs to show where it came from.
            log.error("the model could not be loaded", exc_info=not isinstance(error, LimnerError))
            return
        self._scheduler = Scheduler(
            max_rows=runner.max_rows,
            native_area=runner.native_area,
            max_bytes=self._max_bytes or runner.max_bytes,
        )
        self._runner = runner
        self._preparer.start()
        self._say("ready")
        self._publish()
        faults = 0
        while not self._stopped:
            try:
                worked = self.step()
                faults = 0 if worked else faults
                self._inbox.read(wait=not worked)
            except EngineBroken as error:
                self._give_up(error)
            except Exception:
                # Nobody else would tell those who wait; what comes later finds a clean table.
                log.exception("the engine's loop failed; its images are lost")
                faults += 1
                if faults >= TRIES:
                    self._give_up(EngineBroken())
                self._drop_all(fail(EngineFault(FAULT)))
        self._publish()

    def _give_up(self, error: EngineBroken) -> None:
        """Take no more, and tell that what is here is lost: another engine may draw it."""
        log.critical("the engine is broken; its images go back", exc_info=error)
        self._state.fail(error)
        ending = lose(error, suspects=self._at_work if self._prove or self._steps else [])
        self._drop_all(ending)
        self._inbox.read(wait=False)  # those that came meanwhile
        self._drop_all(ending)
        self._stopped = True

    def step(self) -> bool:
        """Admit, schedule and run once; False when there was nothing to run."""
        began = time.perf_counter()
        self._preparer.add(self._scheduler.admit())
        batch = self._scheduler.schedule()
        self._publish()
        if not batch:
            return False
        for image in batch:
            if image.evaluation == 0:
                image.request.tell(Started(image.number))
        for image in self._run(batch):
            self._move_on(image)
        self._busy_s += time.perf_counter() - began
        return True

    def _run(self, batch: list[Image]) -> list[Image]:
        """Run a step: the images that came through; the others are failed."""
        self._at_work = batch
        rows = {image: image.rows for image in batch}  # a step sets those of the next one
        came, at_fault = run(self._runner, batch)
        for image, error in at_fault:
            self._fail(image, error)
        self._steps += bool(came)
        self._rows += sum(rows[image] for image in came)
        return came

    def _move_on(self, image: Image) -> None:
        try:
            self._report(image)
            if image.phase_over:
                self._advance(image)
        except Exception as error:
            self._judge(image, error)

    def _advance(self, image: Image) -> None:
        """Hand out a picture, or have its image prepared for the next phase."""
        pixels = self._runner.advance(image)
        if pixels is None:
            self._scheduler.rest(image)
            self._preparer.add([image])
            return
        event = Drawn(image.number, pixels, self._runner.facts(image))
        self._scheduler.remove(image)
        self._images += 1
        self._end(image, event)

    def _judge(self, image: Image, error: Exception) -> None:
        """Fail an image, unless it is the engine that failed: that raises ``EngineBroken``."""
        if not isinstance(error, LimnerError):
            self._at_work = [image]
            expect_working(self._runner, error)
        self._fail(image, error)

    def _report(self, image: Image) -> None:
        watched = image.request.watched and not image.finished
        preview = self._runner.preview(image) if watched else None
        told = (self._runner.step_of(image), image.evaluation, image.evaluations, preview)
        image.request.tell(Progress(image.number, *told))

    def _fail(self, image: Image, error: Exception) -> None:
        if not isinstance(error, LimnerError):
            log.error("image %d of %s failed", image.number, image.request.id, exc_info=error)
            error = EngineFault(FAULT)
        self._scheduler.remove(image)
        self._end(image, Failed(image.number, error))

    def _end(self, image: Image, event: End) -> None:
        image.state = None
        self._state.leave()
        self._publish()  # first: whoever hears of the end finds it in the snapshot
        image.request.tell(event)

    # What the inbox brings, between steps.

    def _arrive(self, images: list[Image]) -> None:
        for image in images:
            self._scheduler.add(image)

    def _prepared(self, image: Image, error: Exception | None) -> None:
        if image not in self._scheduler.all():
            image.state = None  # aborted while it was being prepared
        elif error is not None:
            self._judge(image, error)
        else:
            self._scheduler.start(image)

    def _watch(self, request_id: str) -> None:
        for image in self._scheduler.all():
            if image.request.id == request_id:
                image.request.watched = True

    def _drop(self, request_id: str, end: Ending) -> None:
        dropped = self._scheduler.drop(request_id)
        self._preparer.drop(dropped)
        for image in dropped:
            self._end(image, end(image))

    def _drop_all(self, end: Ending) -> None:
        for request_id in {image.request.id for image in self._scheduler.all()}:
            self._drop(request_id, end)

    def _stop(self) -> None:
        self._drop_all(fail(Aborted(CANCELLED)))
        self._stopped = True

    def _say(self, message: str) -> None:
        self._state.say(message)
        log.info("%s", message)

    def _publish(self) -> None:
        """A snapshot for callers, who never look at what this thread works on."""
        runner = self._runner
        counts = (self._steps, self._rows, self._images, *runner.seconds())
        stats = EngineStats(*counts, self._busy_s, runner.caches())
        self._state.publish(runner.models, self._scheduler.in_flight, stats)
