"""How many bytes of strangers' pictures the server holds at once, all callers together."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from limner.errors import LimitExceeded, Unavailable
from limner.imaging.files import Pixels

SHARE = 2  # an owner who holds some may hold one in so many bytes ...
SHARE_MIN = 32 << 20  # ... or these: a picture and a mask of the largest size, with their files
NOBODY = ""  # whose pictures count in all, and for no key


class Budget:
    """At most ``limit`` bytes, and ``share`` of them for an owner who asks for more than one.

    Who would exceed it is refused with the number.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.share = min(limit, max(limit // SHARE, SHARE_MIN))
        self._of = Counter[str]()
        # An array may be let go by the collector, at any moment of the thread that has the lock.
        self._lock = threading.RLock()

    @property
    def held(self) -> int:
        """Bytes that are counted now."""
        with self._lock:
            return self._of.total()

    @property
    def full(self) -> bool:
        """Whether all of it is taken."""
        return self.held >= self.limit

    @contextmanager
    def holding(self, owner: str, size: int) -> Iterator[None]:
        """Count ``size`` bytes of ``owner`` while the block runs.

        Raises ``LimitExceeded`` for the owner's share, ``Unavailable`` for the whole.
        """
        self._take(owner, size)
        try:
            yield
        finally:
            self._give(owner, size)

    def keep(self, owner: str, *arrays: Pixels) -> None:
        """Count arrays until they are let go, by whoever holds each last; never refused."""
        for array in arrays:
            with self._lock:
                self._of[owner] += array.nbytes
            weakref.finalize(array, self._give, owner, array.nbytes).atexit = False

    def _take(self, owner: str, size: int) -> None:
        with self._lock:
            held, mine = self._of.total(), self._of.get(owner, 0)
            shared = not mine or owner == NOBODY or mine + size <= self.share
            if shared and held + size <= self.limit:
                self._of[owner] += size
                return
        if held + size > self.limit:
            raise Unavailable(
                f"The server holds {held >> 20} of {self.limit >> 20} MiB of pictures "
                "that came in, its limit; try again",
                5,
            )
        raise LimitExceeded(
            f"The server holds {mine >> 20} MiB of pictures that came in with this key, which may "
            f"have {self.share >> 20} MiB at a time; try again",
            5,
        )

    def _give(self, owner: str, size: int) -> None:
        with self._lock:
            self._of[owner] -= size
            if not self._of[owner]:
                del self._of[owner]
