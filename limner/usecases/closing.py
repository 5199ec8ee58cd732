"""How a server stops: one deadline over all its parts, and a line in the log for each step."""

from __future__ import annotations

import asyncio
import logging
import time

from limner.usecases.drawing import settlement
from limner.usecases.drawing.generate import Generate
from limner.usecases.queueing.queue import Queue

log = logging.getLogger(__name__)

LOOK_S = 0.1
SETTLE_S = 5.0


class Closing:
    """Ends drawing within ``drain_s`` seconds of ``begin``; what is not finished goes back."""

    def __init__(self, generate: Generate, queue: Queue, drain_s: float) -> None:
        self._generate, self._queue = generate, queue
        self._worker = generate.worker
        self._drain_s = drain_s
        self.deadline: float | None = None

    def begin(self) -> None:
        """Claim nothing and accept nothing new from now on. A signal's handler may call it."""
        if self.deadline is None:
            self._worker.stopping = True
            self.deadline = time.monotonic() + self._drain_s

    def hurry(self) -> None:
        """Wait no longer."""
        self.begin()
        self.deadline = time.monotonic()

    async def finish(self) -> None:
        """Let what is drawn be finished until the deadline; the rest is given back, unbilled.

        Whoever waits for the rest is answered with ``Interrupted``; stored requests return to
        the queue as if nobody had tried them.
        """
        self.begin()
        assert self.deadline is not None
        self._queue.give_back_unbegun()
        log.info(
            "stopping: no new work; %d calls and requests have %g s to be finished",
            len(self._open()),
            max(0.0, round(self.deadline - time.monotonic(), 1)),
        )
        while self._open() and time.monotonic() < self.deadline:
            await asyncio.wait(self._open(), timeout=LOOK_S)
        if self._open():
            await self._interrupt()
        log.info("stopping: nothing is drawn any more")

    async def _interrupt(self) -> None:
        log.info("stopping: %d are not finished and go back, unbilled", len(self._open()))
        self._worker.stop_all(settlement.Interrupted(settlement.STOPPING))
        await asyncio.wait(self._open(), timeout=SETTLE_S)
        for task in self._open():  # they wait for another process, or for a database
            task.cancel()

    def _open(self) -> set[asyncio.Task[object]]:
        return {task for task in (*self._generate.at_work, *self._queue.at_work) if not task.done()}
