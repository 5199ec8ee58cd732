"""What does not end by itself, so that a server that stops can end it: answers and bodies."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from limner.errors import LimitExceeded

STOPPING = "The server is stopping; send it again in a moment"


class Streams:
    """Every open stream has an event that says: the server stops."""

    def __init__(self) -> None:
        self._stops: set[asyncio.Event] = set()
        self._limits: set[asyncio.Timeout] = set()
        self._open: Counter[str] = Counter()
        self._closed = False
        self.stopping = False  # the server has begun to stop; streams go on until ``close``

    def check(self, key_id: str, most: int) -> None:
        """Raises ``LimitExceeded`` where a key has ``most`` streams open."""
        if self._open[key_id] >= most:
            raise LimitExceeded(f"This key may have {most} streams of events open", 5)

    @contextmanager
    def open(self, key_id: str) -> Iterator[asyncio.Event]:
        """An event for one stream of a key, on its own event loop."""
        stop = asyncio.Event()
        if self._closed:
            stop.set()
        self._stops.add(stop)
        self._open[key_id] += 1
        try:
            yield stop
        finally:
            self._stops.discard(stop)
            self._open[key_id] -= 1
            if not self._open[key_id]:
                del self._open[key_id]

    @contextmanager
    def body(self, limit: asyncio.Timeout) -> Iterator[None]:
        """While this is open a body is read within ``limit``, which the end brings forward."""
        self._limits.add(limit)
        if self._closed:
            _expire(limit)
        try:
            yield
        finally:
            self._limits.discard(limit)

    def close(self) -> None:
        """End all, and those still to come. On the streams' event loop only."""
        self._closed = self.stopping = True
        for stop in self._stops:
            stop.set()
        for limit in self._limits:
            _expire(limit)


def _expire(limit: asyncio.Timeout) -> None:
    if not limit.expired():
        limit.reschedule(0)  # long ago, by the loop's clock
