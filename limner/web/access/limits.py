"""How often something happened in the present minute, and how much at once, in this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from limner.errors import LimitExceeded, Unavailable

WINDOW_S = 60
NAMES_MAX = 10_000


@dataclass
class Window:
    """One minute of one name, and what was used of it."""

    ends_at: float
    used: int = 0


class PerMinute:
    """At most ``limit`` of ``what`` a minute for each name; the oldest names are forgotten."""

    def __init__(self, limit: int, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._what = what
        self._clock = clock
        self._windows: OrderedDict[str, Window] = OrderedDict()

    def check(self, name: str) -> None:
        """Raises ``LimitExceeded`` once ``name`` has used up its minute."""
        window = self._window(name)
        if window.used < self._limit:
            return
        wait_s = int(window.ends_at - self._clock()) + 1
        raise LimitExceeded(
            f"More than {self._limit} {self._what} came in a minute; try again in {wait_s} seconds",
            wait_s,
        )

    def count(self, name: str) -> None:
        """One more; raises ``LimitExceeded`` where that is one too many."""
        self.check(name)
        self.add(name)

    def add(self, name: str) -> None:
        """One more, which has happened whatever the limit."""
        self._window(name).used += 1

    def _window(self, name: str) -> Window:
        now = self._clock()
        window = self._windows.get(name)
        if window is None or window.ends_at <= now:
            window = self._windows[name] = Window(now + WINDOW_S)
            self._windows.move_to_end(name)
        while len(self._windows) > NAMES_MAX:
            self._windows.popitem(last=False)
        return window


class AtOnce:
    """At most ``limit`` calls in progress."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._number = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """One more while this is open; raises ``Unavailable`` where that is one too many."""
        if self._number >= self._limit:
            raise Unavailable(f"The server is busy with {self._limit} requests, its limit", 2)
        self._number += 1
        try:
            yield
        finally:
            self._number -= 1
