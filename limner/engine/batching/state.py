"""What callers and the engine's thread both touch: who may still come in, and what is told.

Everything else in the engine belongs to its thread alone. Callers read the snapshot that the
thread has made last; they never look at what it works on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from limner import errors
from limner.domain.model import ModelInfo
from limner.engine.batching.client import EngineStats, EngineStatus


class State:
    """At most ``max_queue`` images are known at once. Safe from any thread.

    ``failure`` is what ended the engine; ``status`` the last snapshot.
    """

    def __init__(self, max_queue: int) -> None:
        self.status = EngineStatus(ready=False, message="the model has not begun to load")
        self.failure: Exception | None = None
        self.open_images = 0
        self._max_queue = max_queue
        self._closing = False
        self._lock = threading.Lock()

    def enter(self, images: int, hand_over: Callable[[], None]) -> None:
        """Count images in, and hand them over in the same moment: none comes after ``close``.

        Raises ``QueueFull``, and what no more is taken for.
        """
        with self._lock:
            if self.failure is not None:
                raise self.failure
            if self._closing:
                raise errors.Unavailable("The server is shutting down.", retry_after_s=30)
            if self.open_images + images > self._max_queue:
                full = f"The queue is full: {self.open_images} of {self._max_queue} pictures."
                raise errors.QueueFull(full, retry_after_s=5)
            self.open_images += images
            self.status = replace(self.status, waiting=self.status.waiting + images)
            hand_over()

    def leave(self) -> None:
        """An image has ended."""
        with self._lock:
            self.open_images -= 1

    def close(self) -> None:
        """Take no more."""
        with self._lock:
            self._closing = True
            self.status = replace(self.status, ready=False)

    def fail(self, error: Exception) -> None:
        """Take no more, because of this."""
        with self._lock:
            self.failure = error
            message = str(error) if isinstance(error, errors.LimnerError) else repr(error)
            self.status = replace(self.status, ready=False, failing=True, message=message)

    def say(self, message: str) -> None:
        """What the engine is doing, in words."""
        with self._lock:
            self.status = replace(self.status, message=message)

    def rest(self, message: str) -> None:
        """For now nothing is drawn, in words why not; the next snapshot ends it."""
        with self._lock:
            if self.failure is None:
                self.status = replace(self.status, ready=False, failing=True, message=message)

    def publish(
        self, model: ModelInfo, resident: tuple[ModelInfo, ...], running: int, stats: EngineStats
    ) -> None:
        """A new snapshot, by the engine's thread."""
        with self._lock:
            self.status = replace(
                self.status,
                ready=not self._closing and self.failure is None,
                failing=self.failure is not None,
                model=model,
                resident=resident,
                waiting=max(0, self.open_images - running),
                running=running,
                stats=stats,
            )
