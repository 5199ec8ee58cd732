"""Caches that are bounded in bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from limner.engine.batching.client import CacheStats

Value = TypeVar("Value")


class ByteCache(Generic[Value]):
    """Keeps what was used last, up to ``capacity`` bytes by the sizes it is told. Thread-safe."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.size = 0
        self._hits = self._misses = 0
        self._kept: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def stats(self) -> CacheStats:
        """What it holds, and how often that was of use."""
        return CacheStats(self.size, self._hits, self._misses)

    def get(self, key: Hashable, make: Callable[[], Value], size: Callable[[Value], int]) -> Value:
        """The value of ``key``, made when it is not kept; a value over capacity is not kept.

        Of several made at once for one key, the first is kept and everybody's.
        """
        with self._lock:
            if key in self._kept:
                self._hits += 1
                self._kept.move_to_end(key)
                return self._kept[key][0]
            self._misses += 1
        value = make()
        with self._lock:
            if key in self._kept:
                return self._kept[key][0]
            if size(value) <= self.capacity:
                self._kept[key] = (value, size(value))
                self.size += size(value)
            while self.size > self.capacity:
                self.size -= self._kept.popitem(last=False)[1][1]
        return value
