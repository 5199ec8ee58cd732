"""Models that could not be loaded: not tried again for a while, unless their files have changed."""

from __future__ import annotations

import time
from collections.abc import Callable

from limner.engine.batching.request import Choice
from limner.errors import CheckpointError, EngineBroken, EngineFault, InvalidInput, LimnerError

Stamp = Callable[[Choice], str]

FAILED_S = 60.0
"""How long one is not tried again."""


def unstamped(_choice: Choice) -> str:
    """Of an engine whose files nobody looks at."""
    return ""


class Failures:
    """``stamp`` tells of a model's files in a word that changes when they do. For any thread."""

    def __init__(self, stamp: Stamp) -> None:
        self.stamp = stamp
        self._failed: dict[Choice, tuple[float, str, LimnerError]] = {}

    def check(self, choice: Choice) -> None:
        """Raises what is wrong with a model that failed of late and is as it was."""
        when, stamp, error = self._failed.get(choice, (-FAILED_S, "", None))
        if error is None or time.monotonic() - when >= FAILED_S:
            return
        if stamp == self.stamp(choice):
            raise error

    def add(self, choice: Choice, stamp: str, error: Exception) -> LimnerError:
        """A model failed that was so when its load began; what those who wait for it are told."""
        told = _told(error)
        self._failed = {**self._failed, choice: (time.monotonic(), stamp, told)}
        return told


def _told(error: Exception) -> LimnerError:
    if isinstance(error, CheckpointError):
        return InvalidInput("model", str(error))
    if isinstance(error, LimnerError) and not isinstance(error, EngineBroken):
        return error
    return EngineFault(
        f"The model is loaded and cannot draw, or could not be loaded ({type(error).__name__})."
    )
