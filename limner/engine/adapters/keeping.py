"""What is read from files where it is first asked for, and kept in memory by their SHA-256.

What was used last is kept, up to a number of bytes; what a picture in flight uses is never read
twice, since it is found as long as anything holds it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar
from weakref import WeakValueDictionary

from limner.engine.batching.client import CacheStats
from limner.errors import CheckpointError, InvalidInput


class Named(Protocol):
    """How a request names a file: by its SHA-256, and for people by a name."""

    @property
    def name(self) -> str: ...
    @property
    def sha256(self) -> str: ...


class Read(Protocol):
    """What was read of a file, and the memory that it takes."""

    @property
    def sha256(self) -> str: ...
    @property
    def bytes(self) -> int: ...


Name = TypeVar("Name", bound=Named)
Value = TypeVar("Value", bound=Read)


class Resident(Generic[Name, Value]):
    """Those of one field of a request; for any thread.

    ``read`` gives what the file of a name holds, or raises ``CheckpointError``.
    """

    def __init__(self, field: str, read: Callable[[Name], Value], capacity: int) -> None:
        self._field, self._read, self._capacity = field, read, capacity
        self._alive: WeakValueDictionary[str, Value] = WeakValueDictionary()
        self._kept: dict[str, Value] = {}  # the one that was used last is the last
        self._sizes: dict[str, int] = {}
        self._hits = self._misses = 0
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    def get(self, name: Name) -> Value:
        """What the file of ``name.sha256`` holds.

        Raises:
            InvalidInput: its file is gone, changed, or nothing that can be used; of the field.
        """
        if (kept := self._keep(name.sha256, None)) is not None:
            return kept
        with self._reading:  # of several who ask at once, one reads
            if (kept := self._keep(name.sha256, None)) is not None:
                return kept
            read = self._checked(name)
            self._keep(name.sha256, read)
            return read

    def size(self, names: Sequence[Name]) -> int:
        """Bytes of these in memory; read where that is not known yet."""
        for name in names:
            if name.sha256 not in self._sizes:
                self.get(name)
        return sum(self._sizes[name.sha256] for name in names)

    @property
    def stats(self) -> CacheStats:
        """What is kept, and how often it was of use."""
        with self._lock:
            size = sum(value.bytes for value in self._kept.values())
            return CacheStats(size, self._hits, self._misses)

    def _keep(self, sha256: str, made: Value | None) -> Value | None:
        with self._lock:
            value = made or self._alive.get(sha256)
            if made is None:
                self._hits += value is not None
            if value is None:
                return None
            self._misses += made is not None
            self._alive[sha256] = value
            self._sizes[sha256] = value.bytes
            self._kept.pop(sha256, None)
            self._kept[sha256] = value
            total = sum(each.bytes for each in self._kept.values())
            while total > self._capacity and len(self._kept) > 1:
                total -= self._kept.pop(next(iter(self._kept))).bytes
            return value

    def _checked(self, name: Name) -> Value:
        try:
            value = self._read(name)
        except CheckpointError as error:
            raise InvalidInput(self._field, f"{self._field}: {error}") from error
        if value.sha256 != name.sha256:
            raise InvalidInput(
                self._field,
                f"{self._field}: the file of {name.name or name.sha256[:12]!r} has changed since "
                "it was chosen; send the request again to draw with the new one",
            )
        return value
