"""How long a device worked, told without waiting for it."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import torch


class Clock:
    """``with clock:`` adds what a block takes to ``seconds``. On one thread.

    On a CPU that is the wall clock. A GPU is only given its orders in the block: an event of its
    stream before them and one behind are asked for the time between, once both have passed; what
    is still under way is not counted yet.
    """

    def __init__(self, device: torch.device) -> None:
        self._gpu = device.type == "cuda"
        self._counted = 0.0
        self._began = 0.0
        self._events: deque[tuple[Any, Any]] = deque()

    def __enter__(self) -> None:
        if self._gpu:
            before, behind = _event(), _event()
            before.record()
            self._events.append((before, behind))
        else:
            self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        if self._gpu:
            self._events[-1][1].record()
        else:
            self._counted += time.perf_counter() - self._began

    @property
    def seconds(self) -> float:
        """All blocks so far."""
        while self._events and self._events[0][1].query():
            before, behind = self._events.popleft()
            self._counted += before.elapsed_time(behind) / 1000
        return self._counted


def _event() -> Any:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
