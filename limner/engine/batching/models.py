"""The models of an engine: those in memory, those that are wanted, and the thread that loads.

What a model draws with is its ``Runner``. Everything here but ``plan`` and ``expect`` belongs to
the engine's thread; loading, after the first model, has a thread of its own that gives way to
those who draw.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

from limner import machine
from limner.domain.model import ModelInfo
from limner.engine.batching.absent import Absent, unplanned
from limner.engine.batching.admission import expect_fits
from limner.engine.batching.client import CacheStats, EngineStats, Runner
from limner.engine.batching.failures import Failures, Stamp, unstamped
from limner.engine.batching.faults import prove
from limner.engine.batching.image import Image
from limner.engine.batching.request import Choice, Request
from limner.engine.batching.residency import Residency, shares
from limner.engine.batching.scheduler import Scheduler
from limner.engine.batching.tallies import Tallies
from limner.errors import InvalidInput, LimnerError

log = logging.getLogger(__name__)

Say = Callable[[str], None]
Load = Callable[[Say, Choice], Runner]
Size = Callable[[Choice], int]


def only_one(choice: Choice) -> NoReturn:
    """The ``size`` of an engine that has one model and no other."""
    raise unknown(choice, ())


def unknown(choice: Choice, models: Collection[str]) -> InvalidInput:
    """For what an engine does not have; ``models`` are the SHA-256s of those that it has."""
    if choice.model and choice.model not in models:
        field, what, sha256 = "model", "model", choice.model
    else:
        field, what, sha256 = "vae", "VAE", choice.vae
    return InvalidInput(field, f"This server has no {what} with the SHA-256 {sha256}.")


@dataclass(frozen=True)
class Hooks:
    """What it needs of the engine: ``post`` has something run on the engine's thread."""

    post: Callable[[Callable[[], None]], None]
    say: Say
    refuse: Callable[[Image, Exception], None]


class Models:
    """``first`` is what a ticket that names none is drawn with; it may go as any other.

    All of them stay within ``budget`` bytes; no picture may take more than ``picture_bytes``.
    """

    def __init__(
        self,
        first: Runner,
        load: Load,
        size: Size,
        hooks: Hooks,
        *,
        budget: int,
        picture_bytes: int,
        prove: bool,
        stamp: Stamp = unstamped,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.first = first.model
        self._load, self._size, self._hooks = load, size, hooks
        self._picture_bytes, self._prove = picture_bytes, prove
        self.residency, self.absent = Residency(budget, clock), Absent()
        self._runners: dict[Choice, Runner] = {}  # replaced whole: other threads read it
        self._gone_s = (0.0, 0.0)
        self._sizes: dict[Choice, int] = {}
        self._caches: Mapping[str, CacheStats] = {}
        self.tallies = Tallies(self.first)
        self._failures = Failures(stamp)
        self._keep(Choice(), first, 0.0)

    # From any thread.

    def _choose(self, choice: Choice) -> Choice:
        """One name for the first model, whichever way it is asked for.

        Its file without what was said over it is another model.
        """
        model = "" if choice.model == self.first.stored_sha256 else choice.model
        vae = "" if not model and choice.vae == self.first.vae_sha256 else choice.vae
        return Choice(model, vae)

    def expect(self, choice: Choice) -> None:
        """Raises ``InvalidInput`` where it can never be drawn with, and why it failed of late."""
        choice = self._choose(choice)
        if choice in self._runners:
            return
        self._failures.check(choice)
        size = self._sizes[choice] = self._size(choice)
        self.residency.expect_room(size)

    def plan(self, request: Request) -> list[Image]:
        """Its images, planned if the model is there; raises what that refuses."""
        request.choice = self._choose(request.choice)
        runner = self._runners.get(request.choice)
        if runner is None:
            return unplanned(request)
        images = runner.plan(request)
        expect_fits(images, self._picture_bytes)
        return images

    # On the engine's thread.

    def of(self, image: Image) -> Runner:
        """What draws an image that has entered."""
        return self._runners[image.request.choice]

    def drew(self, image: Image, rows: int) -> None:
        """A step of the image's model was made, of so many rows; 0 where nothing came of it."""
        self.residency.drew(image.request.choice)
        self.tallies.stepped(image.request.choice, rows)

    def turn(self, scheduler: Scheduler) -> None:
        """Hand over those whose model is there; have loaded what others wait for."""
        if not self.absent.images:
            return
        self._hand_over(scheduler)  # first: what came for their sake is not idle
        wanted = self._wanted()
        order = self.residency.next(wanted, _busy(scheduler))
        if order is None and self._withdraw(scheduler):
            order = self.residency.next(wanted, _busy(scheduler))
        if order is not None:
            self._begin(*order)
        self._hand_over(scheduler)  # what was to leave may stay after all
        for image in self.absent.images:
            scheduler.service.wait(image.request)

    def _hand_over(self, scheduler: Scheduler) -> None:
        """Images whose model is there."""
        scheduler.knees.known = {c: (r.max_rows, r.native_area) for c, r in self._runners.items()}
        for image in self._planned(self.absent.take(self._is_here)):
            scheduler.add(image)

    @property
    def resident(self) -> tuple[ModelInfo, ...]:
        """The models in memory."""
        return tuple(runner.model for runner in self._runners.values())

    def stats(self, in_flight: Mapping[Choice, int]) -> EngineStats:
        """Running totals, of models that have gone too; all models share their caches."""
        runners = list(self._runners.values())
        spent = [self._gone_s, *(runner.seconds() for runner in runners)]
        unet_s, vae_s = (sum(each) for each in zip(*spent, strict=True))
        self._caches = runners[0].caches() if runners else self._caches
        done, models = self.tallies, self.tallies.by_model(self.residency.sizes(), in_flight)
        told = (done.steps, done.rows, done.images, unet_s, vae_s, done.busy_s)
        return EngineStats(*told, self._caches, models, self.residency.budget)

    def _withdraw(self, scheduler: Scheduler) -> bool:
        """No more pictures of models that are leaving enter; whether there were any."""
        back = [image for c in self.residency.leaving for image in scheduler.withdraw(c)]
        self.absent.add(back)
        return bool(back)

    def _wanted(self) -> dict[Choice, int]:
        """Models that are waited for and neither here nor coming, with their sizes."""
        near = {*self._runners, self.residency.loading}
        return {
            choice: self._sizes[choice] for choice in self.absent.choices() if choice not in near
        }

    def _is_here(self, image: Image) -> bool:
        choice = image.request.choice
        return choice in self._runners and choice not in self.residency.leaving

    def _planned(self, images: Iterable[Image]) -> list[Image]:
        """The same, planned; those that their model refuses end."""
        plans: dict[Request, list[Image]] = {}
        planned = []
        for image in images:
            try:
                if not image.evaluations and image.request not in plans:
                    plans[image.request] = self.plan(image.request)
                known = image.evaluations > 0
                planned.append(image if known else plans[image.request][image.index])
            except Exception as error:
                self._hooks.refuse(image, error)
        return planned

    def _begin(self, choice: Choice, gone: Iterable[Choice]) -> None:
        self.absent.charge(choice)
        for each in gone:
            self._let_go(each)
        self._start(choice)

    def _start(self, choice: Choice) -> None:
        """Have it loaded beside the steps."""
        work = threading.Thread(target=self._work, args=(choice,), name="limner-load", daemon=True)
        work.start()

    def _let_go(self, choice: Choice) -> None:
        runners = dict(self._runners)
        runner = runners.pop(choice)
        unet, vae = runner.seconds()
        self._gone_s = self._gone_s[0] + unet, self._gone_s[1] + vae
        self._runners = runners
        self.tallies.of(choice).evictions += 1
        log.info("%s is let go", runner.model.name)

    def _work(self, choice: Choice) -> None:
        """On the loading thread."""
        machine.give_way()
        began, stamp = time.perf_counter(), self._failures.stamp(choice)
        try:
            runner = self._load(self._hooks.say, choice)
        except Exception as error:
            failure = error
            self._hooks.post(lambda: self._not_loaded(choice, stamp, failure))
        else:
            took = time.perf_counter() - began
            self._hooks.post(lambda: self._loaded(choice, stamp, runner, took))

    def _loaded(self, choice: Choice, stamp: str, runner: Runner, took: float) -> None:
        try:
            prove(runner, draw=self._prove)
        except Exception as error:
            self._not_loaded(choice, stamp, error)
        else:
            self._keep(choice, runner, took)
            self.tallies.loaded(choice, runner.model.name, took)
            self._hooks.say("ready")

    def _keep(self, choice: Choice, runner: Runner, took: float) -> None:
        self.residency.arrived(choice, runner.bytes, took)
        self._sizes[choice] = runner.bytes
        self._runners = {**self._runners, choice: runner}

    def _not_loaded(self, choice: Choice, stamp: str, error: Exception) -> None:
        self.residency.failed()
        self.tallies.of(choice).failed_loads += 1
        told = self._failures.add(choice, stamp, error)
        if not isinstance(error, LimnerError):
            log.error("a model could not be loaded", exc_info=error)
        self._hooks.say("ready")
        self._refuse(choice, told)

    def _refuse(self, choice: Choice, error: Exception) -> None:
        for image in self.absent.take(lambda image: image.request.choice == choice):
            self._hooks.refuse(image, error)


def _busy(scheduler: Scheduler) -> set[Choice]:
    return {image.request.choice for image in scheduler.all()}


def set_up(
    load: Load,
    size: Size,
    draw: bool,
    max_bytes: int | None,
    models_bytes: int | None,
    hooks: Hooks,
    stamp: Stamp = unstamped,
) -> tuple[Models, Scheduler]:
    """Load the first model, and share memory out; the arguments are ``ThreadEngine``'s."""
    first = load(hooks.say, Choice())
    hooks.say("seeing whether it draws")
    prove(first, draw=draw)
    budget, pictures = first.bytes, first.max_bytes
    if size is not only_one:
        budget, pictures = shares(first.bytes, first.free_bytes, pictures, models_bytes)
    most = max_bytes or pictures
    own = (first, load, size, hooks)
    models = Models(*own, budget=budget, picture_bytes=most, prove=draw, stamp=stamp)
    knee = {"max_rows": first.max_rows, "native_area": first.native_area}
    return models, Scheduler(**knee, max_bytes=most)
