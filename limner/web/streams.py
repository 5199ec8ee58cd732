"""The answers that do not end by themselves, so that a server that stops can end them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Streams:
    """Every open stream has an event that says: the server stops."""

    def __init__(self) -> None:
        self._stops: set[asyncio.Event] = set()
        self._closed = False
        self.stopping = False  # the server has begun to stop; streams go on until ``close``

    @contextmanager
    def open(self) -> Iterator[asyncio.Event]:
        """An event for one stream, on its own event loop."""
        stop = asyncio.Event()
        if self._closed:
            stop.set()
        self._stops.add(stop)
        try:
            yield stop
        finally:
            self._stops.discard(stop)

    def close(self) -> None:
        """End all, and those still to come. On the streams' event loop only."""
        self._closed = self.stopping = True
        for stop in self._stops:
            stop.set()
