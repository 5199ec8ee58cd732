"""How often something happened in the present minute, and how much at once, in this process."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from limner.errors import LimitExceeded, Unavailable

WINDOW_S = 60
NAMES_MAX = 10_000
SHARE = 2


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
    """At most ``limit`` calls in progress, until their answers are taken; for one key half."""

    def __init__(self, limit: int) -> None:
        self._limit, self._share = limit, max(1, limit // SHARE)
        self._of = Counter[str]()

    @contextmanager
    def one(self, key: str) -> Iterator[None]:
        """One more of a key while this is open.

        Raises ``LimitExceeded`` or ``Unavailable`` where that is one too many.
        """
        if self._of[key] >= self._share:
            raise LimitExceeded(
                f"This key has {self._share} of {self._limit} calls in progress, its share", 2
            )
        if self._of.total() >= self._limit:
            raise Unavailable(f"The server is busy with {self._limit} requests, its limit", 2)
        self._of[key] += 1
        try:
            yield
        finally:
            self._of[key] -= 1
            if not self._of[key]:
                del self._of[key]
