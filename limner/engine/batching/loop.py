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
from functools import partial

from limner.engine.batching import faults
from limner.engine.batching.client import EngineStatus
from limner.engine.batching.failures import Stamp, unstamped
from limner.engine.batching.image import Image
from limner.engine.batching.inbox import Inbox
from limner.engine.batching.models import Hooks, Load, Models, Size, only_one, set_up
from limner.engine.batching.preparing import Preparers
from limner.engine.batching.request import Choice, Request
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

CANCELLED = "The request was cancelled."


class ThreadEngine:
    """``EngineClient`` over a runner in this process.

    ``load(say, choice)`` makes the runner of a model and tells through ``say`` what it is doing:
    the first on the engine's thread, and until it returns every submit is answered with
    ``ModelLoading``; others beside the steps. ``size(choice)`` says what one takes in memory, or
    raises ``InvalidInput``; models stay under ``models_bytes``. One that could not be loaded is
    tried again when ``stamp(choice)``, of its files, is another, or after a minute. ``read`` finds
    what tickets start from, on the thread that submits. ``failure`` holds what ended the engine: an
    error of loading the first, or ``EngineBroken``. At most ``max_queue`` images are known at once;
    those in flight stay under ``max_bytes`` (None for either: by what is free). ``prove``: a runner
    draws a picture of its own before it takes any; so what breaks it later is suspected at once.
    """

    def __init__(
        self,
        load: Load,
        *,
        size: Size = only_one,
        stamp: Stamp = unstamped,
        read: Reader = read_nothing,
        max_queue: int = 256,
        max_bytes: int | None = None,
        models_bytes: int | None = None,
        prove: bool = False,
    ) -> None:
        self._set_up = partial(set_up, load, size, prove, max_bytes, models_bytes, stamp=stamp)
        self._read, self._prove = read, prove
        self._at_work: list[Image] = []  # what is drawn at this moment
        self._inbox = Inbox()
        self._state = State(max_queue)
        self._stopped = False
        self._models: Models  # both are set before a model is published
        self._scheduler: Scheduler
        self._preparer = Preparers(lambda i: self._models.of(i), self._inbox.put, self._prepared)
        self._thread = threading.Thread(target=self._main, name="limner-engine", daemon=True)
        self._thread.start()

    # What callers use, from any thread.

    @property
    def failure(self) -> Exception | None:
        return self._state.failure

    def expect_model(self, model: str = "", vae: str = "") -> None:
        self.status().loaded()
        self._models.expect(Choice(model, vae))

    def check(self, ticket: Ticket) -> None:
        self.expect_model(ticket.model, ticket.vae)
        self._models.plan(Request.of(ticket, lambda _: None, self._read))

    def submit(self, ticket: Ticket, sink: Sink) -> None:
        self.expect_model(ticket.model, ticket.vae)
        images = self._models.plan(Request.of(ticket, sink, self._read))
        self._state.enter(len(images), lambda: self._inbox.put(lambda: self._arrive(images)))

    def abort(self, request_id: str) -> None:
        self._inbox.put(lambda: self._drop(request_id, faults.fail(Aborted(CANCELLED))))

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
            hooks = Hooks(self._inbox.put, self._say, self._refuse)
            self._models, self._scheduler = self._set_up(hooks)
        except Exception as error:
            self._state.fail(error)
            # An error of ours is its sentence; only a fault needs to show where it came from.
            log.error("the model could not be loaded", exc_info=not isinstance(error, LimnerError))
            return
        self._preparer.start()
        self._say("ready")
        self._publish()
        failures = 0
        while not self._stopped:
            try:
                worked = self.step()
                failures = 0 if worked else failures
                self._inbox.read(wait=not worked)
            except EngineBroken as error:
                self._give_up(error)
            except Exception:
                # Nobody else would tell those who wait; what comes later finds a clean table.
                log.exception("the engine's loop failed; its images are lost")
                failures += 1
                if failures >= faults.TRIES:
                    self._give_up(EngineBroken())
                self._drop_all(faults.fail(EngineFault(faults.FAULT)))
        self._publish()

    def _give_up(self, error: EngineBroken) -> None:
        """Take no more, and tell that what is here is lost: another engine may draw it."""
        log.critical("the engine is broken; its images go back", exc_info=error)
        self._state.fail(error)
        proven = self._prove or self._models.tallies.steps
        ending = faults.lose(error, suspects=self._at_work if proven else [])
        self._drop_all(ending)
        self._inbox.read(wait=False)  # those that came meanwhile
        self._drop_all(ending)
        self._stopped = True

    def step(self) -> bool:
        """Admit, schedule and run once; False when there was nothing to run."""
        began, self._at_work = time.perf_counter(), []  # or they would stay while nobody comes
        self._models.turn(self._scheduler)
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
        self._models.tallies.lasted(batch[0].request.choice, time.perf_counter() - began)
        return True

    def _run(self, batch: list[Image]) -> list[Image]:
        """Run a step: the images that came through; the others are failed."""
        self._at_work = batch
        rows = {image: image.rows for image in batch}  # a step sets those of the next one
        came, at_fault = faults.run(self._models.of(batch[0]), batch)
        for image, error in at_fault:
            self._fail(image, error)
        self._models.drew(batch[0], sum(rows[image] for image in came))
        return came

    def _move_on(self, image: Image, *, stepped: bool = True) -> None:
        try:
            if stepped:
                self._report(image)
            if image.phase_over:
                self._advance(image)
        except Exception as error:
            self._judge(image, error)

    def _advance(self, image: Image) -> None:
        """Hand out a picture, or have its image prepared for the next phase."""
        pixels = self._models.of(image).advance(image)
        if pixels is None:
            self._scheduler.rest(image)
            self._preparer.add([image])
            return
        event = Drawn(image.number, pixels, self._models.of(image).facts(image))
        self._scheduler.remove(image)
        self._models.tallies.drew(image.request.choice)
        self._end(image, event)

    def _judge(self, image: Image, error: Exception) -> None:
        """Fail an image, unless it is the engine that failed: that raises ``EngineBroken``."""
        if not isinstance(error, LimnerError):
            self._at_work = [image]
            faults.expect_working(self._models.of(image), error)
        self._fail(image, error)

    def _report(self, image: Image) -> None:
        watched = image.request.watched and not image.finished
        runner = self._models.of(image)
        preview = runner.preview(image) if watched else None
        told = (runner.step_of(image), image.evaluation, image.evaluations, preview)
        image.request.tell(Progress(image.number, *told))

    def _fail(self, image: Image, error: Exception) -> None:
        self._scheduler.remove(image)
        self._refuse(image, error)

    def _refuse(self, image: Image, error: Exception) -> None:
        self._end(image, Failed(image.number, faults.told(error, image)))

    def _end(self, image: Image, event: End) -> None:
        image.state = None
        self._models.tallies.of(image.request.choice).images -= 1
        self._state.leave()
        self._publish()  # first: whoever hears of the end finds it in the snapshot
        image.request.tell(event)

    # What the inbox brings, between steps.

    def _arrive(self, images: list[Image]) -> None:
        self._models.tallies.of(images[0].request.choice).images += len(images)
        self._models.absent.add(images)  # for a moment, where the model is there

    def _prepared(self, image: Image, error: Exception | None) -> None:
        if image not in self._scheduler.all():
            image.state = None  # aborted while it was being prepared
        elif error is not None:
            self._judge(image, error)
        elif image.finished:  # there was nothing to draw once more
            self._move_on(image, stepped=False)
        else:
            self._scheduler.start(image)

    def _watch(self, request_id: str) -> None:
        for image in self._all():
            if image.request.id == request_id:
                image.request.watched = True

    def _all(self) -> list[Image]:
        return [*self._scheduler.all(), *self._models.absent.images]

    def _drop(self, request_id: str, end: faults.Ending) -> None:
        dropped = self._scheduler.drop(request_id)
        self._preparer.drop(dropped)
        dropped += self._models.absent.take(lambda image: image.request.id == request_id)
        for image in dropped:
            self._end(image, end(image))

    def _drop_all(self, end: faults.Ending) -> None:
        for request_id in {image.request.id for image in self._all()}:
            self._drop(request_id, end)

    def _stop(self) -> None:
        self._drop_all(faults.fail(Aborted(CANCELLED)))
        self._stopped = True

    def _say(self, message: str) -> None:
        self._state.say(message)
        log.info("%s", message)

    def _publish(self) -> None:
        """A snapshot for callers, who never look at what this thread works on."""
        models, in_flight = self._models, self._scheduler.in_flight
        stats = models.stats(in_flight)
        self._state.publish(models.first, models.resident, in_flight.total(), stats)
