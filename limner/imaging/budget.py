"""How many bytes of strangers' pictures the server holds at once, all callers together."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from limner.errors import Unavailable
from limner.imaging.files import Pixels


class Budget:
    """At most ``limit`` bytes; who would exceed it is refused with the number."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._lock = threading.Lock()

    @property
    def full(self) -> bool:
        """Whether all of it is taken."""
        return self.held >= self.limit

    @contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Count ``size`` bytes while the block runs. Raises ``Unavailable``."""
        self._take(size)
        try:
            yield
        finally:
            self._give(size)

    def keep(self, *arrays: Pixels) -> None:
        """Count arrays until they are let go, by whoever holds each last; never refused."""
        for array in arrays:
            with self._lock:
                self.held += array.nbytes
            weakref.finalize(array, self._give, array.nbytes).atexit = False

    def _take(self, size: int) -> None:
        with self._lock:
            if self.held + size > self.limit:
                raise Unavailable(
                    f"The server holds {self.held >> 20} of {self.limit >> 20} MiB of pictures "
                    "that came in, its limit; try again",
                    5,
                )
            self.held += size

    def _give(self, size: int) -> None:
        with self._lock:
            self.held -= size
