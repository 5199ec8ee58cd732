"""Waiting in tests: for a state the test has made, with a bound that no busy machine reaches."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from limner.engine.batching.fake import FakeEngine
from limner.engine.batching.image import Image

T = TypeVar("T")
LONG_S = 60.0


def wait_for(look: Callable[[], T], good: Callable[[T], Any], *, within_s: float = LONG_S) -> T:
    """Block until what is looked at is good, and return it; ``AssertionError`` after a minute."""
    deadline = time.monotonic() + within_s
    while not good(seen := look()):
        assert time.monotonic() < deadline, f"after {within_s:g} seconds it is still {seen}"
        time.sleep(0.005)
    return seen


def wait_until(condition: Callable[[], Any]) -> None:
    """Block until something is true; ``AssertionError`` after a minute."""
    wait_for(condition, bool)


async def until(condition: Callable[[], Any]) -> None:
    """The same on an event loop."""
    async with asyncio.timeout(LONG_S):
        while not condition():
            await asyncio.sleep(0.005)


class Gate:
    """Stands before every step of an engine; closed, it lets none end that was not let through."""

    def __init__(self, step: Callable[[list[Image]], None], *, closed: bool) -> None:
        self._step, self._closed, self._passes = step, closed, 0
        self._changed = threading.Condition()
        self.images: list[Image] = []  # those that wait before it

    def __call__(self, images: list[Image]) -> None:
        with self._changed:
            self.images = images
            through = self._changed.wait_for(lambda: self._passes or not self._closed, LONG_S)
            assert through, "nobody released the engine"
            self.images, self._passes = [], max(0, self._passes - 1)
        self._step(images)

    def turn(self, *, closed: bool, passes: int = 0) -> None:
        """Close or open it; ``passes`` steps are let through all the same."""
        with self._changed:
            self._closed, self._passes = closed, passes
            self._changed.notify_all()


class HeldEngine(FakeEngine):
    """Begins what it is given, but ends no step before ``release``; closing releases it."""

    def __init__(self, *, held: bool = True, **options: Any) -> None:
        super().__init__(**options)
        self._wanted: set[str] = set()
        self.gate = Gate(self.fake.step, closed=held)
        self.fake.step = self.gate  # type: ignore[method-assign]

    @property
    def watched(self) -> bool:
        """Whether a step is held now, and somebody wants previews of what it draws."""
        return any(i.request.watched or i.request.id in self._wanted for i in self.gate.images)

    def watch(self, request_id: str) -> None:
        self._wanted.add(request_id)  # the loop itself hears of it after the step
        super().watch(request_id)

    def hold(self) -> None:
        """Let no further step end."""
        self.gate.turn(closed=True)

    def release(self, steps: int = 0) -> None:
        """Let so many steps end; without a number, all from now on."""
        self.gate.turn(closed=steps > 0, passes=steps)

    def close(self, drain_s: float = 0.0) -> None:
        self.release()
        super().close(drain_s)
