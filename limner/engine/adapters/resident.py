"""The adapters of one model that are in memory, by the SHA-256 of their files.

What was used last is kept, up to a number of bytes; what a picture in flight uses is never read
twice, since it is found as long as anything holds it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

import torch
from torch import nn

from limner.domain.loras import Lora
from limner.engine.adapters.reading import Adapter, load
from limner.engine.adapters.rows import Use, Uses
from limner.engine.adapters.targets import TEXT, UNET, Targets, targets_of
from limner.engine.batching.client import CacheStats
from limner.engine.checkpoints.weights import Checkpoint
from limner.errors import CheckpointError, InvalidInput

Find = Callable[[str], Path]
"""Where the file of a SHA-256 lies. Raises ``LimnerError`` where there is none."""


def find_nothing(sha256: str) -> Path:
    """For an engine without a library."""
    raise InvalidInput("loras", f"loras: this engine knows no file of SHA-256 {sha256[:12]}...")


class Adapters:
    """Adapters for the model of ``targets``, read where they are first asked for; for any thread.

    ``targets`` is asked once, when the first one is read. ``places`` are the devices and number
    types of the parts.
    """

    def __init__(
        self,
        find: Find,
        targets: Callable[[], Targets],
        places: Mapping[str, tuple[torch.device, torch.dtype]],
        capacity: int = 512 << 20,
    ) -> None:
        self._find, self._targets, self._places = find, targets, places
        self._alive: WeakValueDictionary[str, Adapter] = WeakValueDictionary()
        self._kept: dict[str, Adapter] = {}  # the one that was used last is the last
        self._sizes: dict[str, int] = {}
        self._capacity = capacity
        self._hits = self._misses = 0
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    def get(self, lora: Lora) -> Adapter:
        """The adapter of ``lora.sha256``.

        Raises:
            InvalidInput: its file is gone, changed, or no adapter of this model; of ``loras``.
        """
        if (kept := self._keep(lora.sha256, None)) is not None:
            return kept
        with self._reading:  # of several who ask at once, one reads
            if (kept := self._keep(lora.sha256, None)) is not None:
                return kept
            read = self._read(lora)
            self._keep(lora.sha256, read)
            return read

    def uses(self, loras: Sequence[Lora], part: str) -> Uses:
        """What these say of one part, at their strengths, whenever they are on."""
        strength = {lora: getattr(lora, part) for lora in loras}
        return tuple(Use(self.get(lora), strength[lora]) for lora in loras if strength[lora])

    def check(self, loras: Sequence[Lora]) -> None:
        """Read those that are not in memory; raises as ``get`` does."""
        for lora in loras:
            self.get(lora)

    def size(self, loras: Sequence[Lora]) -> int:
        """Bytes of these in memory; read where that is not known yet."""
        self.check([lora for lora in loras if lora.sha256 not in self._sizes])
        return sum(self._sizes[lora.sha256] for lora in loras)

    @property
    def stats(self) -> CacheStats:
        """What is kept, and how often it was of use."""
        with self._lock:
            size = sum(adapter.bytes for adapter in self._kept.values())
            return CacheStats(size, self._hits, self._misses)

    def _keep(self, sha256: str, made: Adapter | None) -> Adapter | None:
        with self._lock:
            adapter = made or self._alive.get(sha256)
            if made is None:
                self._hits += adapter is not None
            if adapter is None:
                return None
            self._misses += made is not None
            self._alive[sha256] = adapter
            self._sizes[sha256] = adapter.bytes
            self._kept.pop(sha256, None)
            self._kept[sha256] = adapter
            total = sum(each.bytes for each in self._kept.values())
            while total > self._capacity and len(self._kept) > 1:
                total -= self._kept.pop(next(iter(self._kept))).bytes
            return adapter

    def _read(self, lora: Lora) -> Adapter:
        try:
            adapter = load(self._find(lora.sha256), self._targets(), self._places)
        except CheckpointError as error:
            raise InvalidInput("loras", f"loras: {error}") from error
        if adapter.sha256 != lora.sha256:
            raise InvalidInput(
                "loras",
                f"loras: the file of {lora.name or lora.sha256[:12]!r} has changed since it was "
                "chosen; send the request again to draw with the new one",
            )
        return adapter


def adapters_of(checkpoint: Checkpoint, unet: Callable[[], nn.Module], find: Find) -> Adapters:
    """Those for a loaded checkpoint; ``unet`` gives its UNet with nothing pruned from it."""
    parts = {UNET: checkpoint.unet, TEXT: checkpoint.text_encoder}
    weights = {name: next(part.parameters()) for name, part in parts.items()}
    places = {name: (weight.device, weight.dtype) for name, weight in weights.items()}
    return Adapters(find, lambda: targets_of(unet(), checkpoint.text_encoder), places)
