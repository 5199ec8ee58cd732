"""The oracle: diffusers' own modules with circular convolutions, for pictures that tile alike."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from diffusers.models.downsampling import Downsample2D
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad


def circular(model: Any, tiling: str) -> Any:
    """A copy whose convolutions pad circularly along the axes of ``tiling``."""
    made = copy.deepcopy(model)
    for module in made.modules():
        if isinstance(module, nn.Conv2d) and any(module.padding):
            if tiling == "xy":
                module.padding_mode = "circular"
            else:
                module._conv_forward = partial(_along, module, tiling)  # type: ignore[method-assign]
        elif isinstance(module, Downsample2D) and module.padding == 0:
            module.forward = partial(_halved, module, tiling)  # type: ignore[method-assign]
    return made


def _along(module: nn.Conv2d, tiling: str, x: Tensor, weight: Tensor, bias: Any) -> Tensor:
    """The usual patch for one axis."""
    down, across = module.padding
    x = pad(x, (across, across, 0, 0), mode="circular" if "x" in tiling else "constant")
    x = pad(x, (0, 0, down, down), mode="circular" if "y" in tiling else "constant")
    return conv2d(x, weight, bias, module.stride)


def _halved(module: Any, tiling: str, x: Tensor, *_: Any, **__: Any) -> Tensor:
    x = pad(x, (0, 1, 0, 0), mode="circular" if "x" in tiling else "constant")
    x = pad(x, (0, 0, 0, 1), mode="circular" if "y" in tiling else "constant")
    made: Tensor = module.conv(x)
    return made


def rolled(x: Tensor, by: int, tiling: str) -> Tensor:
    """``x`` (..., h, w) moved along the axes, what leaves at an edge coming in at the other."""
    return torch.roll(x, [by * ("y" in tiling), by * ("x" in tiling)], [-2, -1])
