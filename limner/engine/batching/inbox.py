"""What callers and other threads want of the engine's thread, which alone touches its images."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue


class Inbox(SimpleQueue[Callable[[], None]]):
    """Messages are functions; they are put by any thread and run by one, in their order."""

    def read(self, *, wait: bool) -> None:
        """Run what is there; ``wait`` for a first one."""
        try:
            message = self.get(block=wait)
            while True:
                message()
                message = self.get_nowait()
        except Empty:
            return
