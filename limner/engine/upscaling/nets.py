"""An upscaler that is loaded: a network, and what is known of how it may be run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

TILE_BYTES = 1 << 30
"""What a network may hold while it runs. A constant: the same tiles everywhere, the same bits."""

BLEND = 8  # pixels to each side of where two tiles meet, over which one fades into the other
REACH_MAX = 32  # pixels of surroundings that are looked at, where a network looks farther
_UNIT = 8
_ALIVE = 3  # of a network's largest result: what goes in, what comes out, and room to work


@dataclass(frozen=True, eq=False)
class Net:
    """``run`` takes (1, ``channels``, h, w) in [0, 1] and gives it ``scale`` times as large.

    ``reach``: how many pixels away something may still matter to a pixel. ``unit``: windows begin
    at multiples of it. ``pixel_bytes``: what it holds for each pixel that goes in while it runs;
    ``bytes``: its weights.
    """

    sha256: str
    run: Any
    scale: int
    channels: int
    reach: int
    unit: int
    pixel_bytes: int
    bytes: int
    device: torch.device

    @property
    def halo(self) -> int:
        """Pixels round a tile that it is given beside those it is asked for."""
        return -(-(self.reach + BLEND) // self.unit) * self.unit

    def core(self, tile_bytes: int = TILE_BYTES) -> int:
        """The side in pixels of what one tile gives; the least is two units, whatever it takes."""
        side = math.isqrt(tile_bytes // self.pixel_bytes) - 2 * self.halo
        return max(side // self.unit, 2, -(-2 * BLEND // self.unit)) * self.unit

    def fits(self, height: int, width: int, tile_bytes: int = TILE_BYTES) -> bool:
        """Whether a picture of this size is run in one piece."""
        return height * width * self.pixel_bytes <= tile_bytes

    def held(self, height: int, width: int) -> int:
        """Bytes that it holds while it makes a picture of this size larger, weights included."""
        if self.fits(height, width):
            return self.bytes + height * width * self.pixel_bytes
        return self.bytes + (self.core() + 2 * self.halo) ** 2 * self.pixel_bytes


def reach_of(model: nn.Module, unit: int) -> int:
    """Pixels as far as a network of convolutions looks at most, within ``REACH_MAX``.

    ``unit``: pixels that are folded into one, at most. A network with attention looks anywhere.
    """
    kinds = (nn.Linear, nn.AdaptiveAvgPool2d, nn.LayerNorm)
    if any(isinstance(each, kinds) for each in model.modules()):
        return REACH_MAX
    convolutions = (each for each in model.modules() if isinstance(each, nn.Conv2d))
    reach = sum(each.kernel_size[0] // 2 * each.dilation[0] for each in convolutions)
    return min(reach * unit, REACH_MAX)


def unit_of(multiple: int) -> int:
    """At what multiples tiles begin, of a network that wants sides of multiples of ``multiple``."""
    return math.lcm(multiple, _UNIT)


def measured(run: Any, model: nn.Module, image: Tensor) -> tuple[Tensor, int]:
    """What it makes of ``image``, and the bytes that it held for each pixel of that.

    By the largest result of any of its layers.
    """
    most = image.nbytes

    def look(_module: nn.Module, _given: Any, made: Any) -> None:
        nonlocal most
        most = max(most, made.nbytes if isinstance(made, Tensor) else 0)

    hooks = [each.register_forward_hook(look) for each in model.modules()]
    try:
        made = run(image)
    finally:
        for hook in hooks:
            hook.remove()
    most = max(most, made.nbytes)
    return made, -(-_ALIVE * most // math.prod(image.shape[-2:]))
