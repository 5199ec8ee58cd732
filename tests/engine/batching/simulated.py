"""An engine in simulated time: the real scheduler and models, loads and steps that only last.

So what keys wait for is exact, and the same on every machine. Times are in steps.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable

from limner.domain.params import Generation
from limner.engine.batching.fake import FakeRunner
from limner.engine.batching.models import Hooks, Models
from limner.engine.batching.request import Choice, Request
from limner.engine.batching.scheduler import Scheduler

MIB = 1 << 20
ROWS = 32


class Beside(Models):
    """Loads end ``load`` after they began, on the same thread."""

    engine: Simulated

    def _start(self, choice: Choice) -> None:
        self.engine.loads.append(choice)
        arrive = lambda: self._keep(choice, FakeRunner(max_rows=ROWS), self.engine.load)  # noqa: E731
        self.engine.at(self.engine.now + self.engine.load, arrive)


class Simulated:
    """Draws with models of 1 MiB each, of which ``room`` are in memory at a time.

    A step of so many rows lasts ``lasts(rows)``.
    """

    def __init__(
        self, *, room: int, load: float, lasts: Callable[[int], float] = lambda _: 1.0
    ) -> None:
        self.now, self.load, self.most = 0.0, load, 0
        self.loads: list[Choice] = []
        self._lasts, self._order = lasts, itertools.count()
        self._to_come: list[tuple[float, int, Callable[[], object]]] = []
        own = {"budget": room * MIB, "picture_bytes": MIB, "prove": False}
        hooks = Hooks(lambda _: None, lambda _: None, lambda _, error: fail(error))
        self.models = Beside(
            FakeRunner(max_rows=ROWS), fail, lambda _: MIB, hooks, clock=lambda: self.now, **own
        )
        self.models.engine = self
        self.scheduler = Scheduler(max_rows=ROWS, native_area=64 * 64, max_bytes=1 << 30)

    def at(self, when: float, what: Callable[[], object]) -> None:
        """Have something happen."""
        heapq.heappush(self._to_come, (when, next(self._order), what))

    def submit(self, owner: str, model: str, steps: int, done: Callable[[], object]) -> None:
        """One picture of the native size."""
        drawing = Generation(prompt="a knight", seed=1, steps=steps, width=512, height=512)
        number = next(self._order)
        request = Request(str(number), drawing, owner, lambda _: done(), choice=Choice(model))
        self.models.expect(request.choice)
        self.models.absent.add(self.models.plan(request))

    def run(self) -> None:
        """Until everybody has their pictures."""
        while self._happen():
            self.models.turn(self.scheduler)
            for image in self.scheduler.admit():
                self.scheduler.start(image)
            self.most = max(self.most, self.models.residency.bytes // MIB)
            self._step()
        assert not self.scheduler.all()
        assert not self.models.absent.images

    def _happen(self) -> bool:
        """What is due; where nothing can be drawn, time passes until something is."""
        if not self.scheduler.all() and not self._may_load():
            if not self._to_come:
                return False
            self.now = max(self.now, self._to_come[0][0])
        while self._to_come and self._to_come[0][0] <= self.now:
            heapq.heappop(self._to_come)[2]()
        return True

    def _may_load(self) -> bool:
        return bool(self.models.absent.images) and self.models.residency.loading is None

    def _step(self) -> None:
        batch = self.scheduler.schedule()
        if not batch:
            return
        self.now += self._lasts(sum(image.rows for image in batch))
        self.models.drew(batch[0], len(batch))
        for image in batch:
            image.evaluation += 1
        for image in [image for image in batch if image.finished]:
            self.scheduler.remove(image)
            image.request.sink(None)  # type: ignore[arg-type]  # no event: it is only told


def fail(*_: object) -> None:
    """For what never happens here."""
    raise AssertionError(_)
