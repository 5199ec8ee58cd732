"""The engine's loop without its threads: each turn of it happens when a test says so."""

from __future__ import annotations

import threading
from typing import NoReturn

from limner.engine.batching.client import Runner
from limner.engine.batching.loop import ThreadEngine
from limner.engine.batching.models import Hooks, only_one, set_up


class EngineByHand(ThreadEngine):
    """Call ``read``, ``prepare`` and ``step`` in any order; ``let_go`` at the end."""

    def __init__(self, runner: Runner, *, max_queue: int = 256, max_bytes: int) -> None:
        self._never = threading.Event()
        super().__init__(self._hold, max_queue=max_queue, max_bytes=max_bytes)
        hooks = Hooks(self._inbox.put, self._say, self._refuse)
        set_up_of = (lambda *_: runner, only_one, False, max_bytes, None)
        self._models, self._scheduler = set_up(*set_up_of, hooks)
        self._publish()

    def _hold(self, *_: object) -> NoReturn:
        self._never.wait()
        raise RuntimeError("the thread has no work")

    def read(self) -> None:
        """Take what came."""
        self._inbox.read(wait=False)

    def prepare(self) -> bool:
        """Prepare the image whose turn it is; False when there is none."""
        image = self._preparer.plain.next()
        if image is None:
            return False
        assert image in self._scheduler.all(), "what has gone is not prepared"
        self._preparer.plain.run(image)
        return True

    def turn(self) -> bool:
        """All three, preparing whatever waits; False when nothing is left to do."""
        self.read()
        while self.prepare():
            pass
        self.read()
        return self.step() or self._state.open_images > 0

    def let_go(self) -> None:
        """End the thread that waits for a runner."""
        self._never.set()
