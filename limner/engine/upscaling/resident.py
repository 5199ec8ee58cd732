"""The upscalers that are in memory, and pictures made larger with them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import torch

from limner.domain.upscalers import Upscaler, passes
from limner.engine.adapters.keeping import Resident
from limner.engine.batching.ticket import Pixels
from limner.engine.upscaling import tiles
from limner.engine.upscaling.nets import Net
from limner.engine.upscaling.reading import load
from limner.imaging import enlarging

CAPACITY = 512 << 20
"""Bytes of weights that are kept."""


class Upscalers(Resident[Upscaler, Net]):
    """Those of a library on one device, read where they are first asked for; for any thread.

    One picture is made larger at a time.
    """

    def __init__(
        self,
        find: Callable[[str], Path],
        device: torch.device,
        field: str = "upscaler",
        capacity: int = CAPACITY,
    ) -> None:
        super().__init__(field, lambda named: load(find(named.sha256), device), capacity)
        self._turn = threading.Lock()

    def held(self, upscaler: Upscaler, size: tuple[int, int], wanted: tuple[int, int]) -> int:
        """Bytes that are held while a picture of ``size`` is made to cover ``wanted``.

        (height, width) in pixels. Raises ``InvalidInput`` as ``get``.
        """
        if upscaler.built_in:
            return enlarging.held(upscaler.name, size, wanted)
        net = self.get(upscaler)
        factor: int = net.scale ** passes(net.scale, size, wanted)
        large = size[0] * factor, size[1] * factor
        last = size[0] * factor // net.scale, size[1] * factor // net.scale
        return net.held(*last) + 3 * (large[0] * large[1] + last[0] * last[1])

    def upscale(
        self,
        upscaler: Upscaler,
        pixels: Pixels,
        width: int,
        height: int,
        *,
        wrap: tiles.Wrap = (False, False),
        proceed: Callable[[], None] = tiles.nothing,
    ) -> Pixels:
        """``pixels`` (h, w, 3) made to cover the size, cut to it in the middle.

        A network runs until the size is covered, three times at most; Lanczos does the rest.
        ``proceed`` is called before each tile; what it raises ends the work. Raises
        ``InvalidInput`` as ``get``, and ``NotFinite``.
        """
        if upscaler.built_in:
            return enlarging.enlarge(upscaler.name, pixels, width, height, wrap)
        net = self.get(upscaler)
        with self._turn:
            for _ in range(passes(net.scale, pixels.shape[:2], (height, width))):
                pixels = tiles.run(net, pixels, wrap, proceed)
        return enlarging.enlarge("Lanczos", pixels, width, height, wrap)
