"""Products whose every row is computed as if it were alone.

A matrix library picks its kernel by the size of the whole product, so a row of a batch of thirty
comes out a few units in the last place away from the same row in a batch of two. Strong guidance
multiplies such differences (docs/log.md: from 1e-6 to 19/255), and a stranger's request would
move a picture. Here a batch is as many products of one row's size, side by side in one call.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RowwiseLinear(nn.Linear):
    """``nn.Linear`` over inputs (rows, ..., in), one product a row."""

    def forward(self, x: Tensor) -> Tensor:
        made = _products(x.reshape(len(x), -1, self.in_features), self.weight, self.bias)
        return made.view(*x.shape[:-1], self.out_features)


class RowwisePointwise(nn.Conv2d):
    """``nn.Conv2d`` with a 1x1 kernel over inputs (rows, in, h, w), one product a row."""

    def forward(self, x: Tensor) -> Tensor:
        rows, _, height, width = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(rows, height * width, self.in_channels)
        made = _products(pixels, self.weight.flatten(1), self.bias)
        return made.view(rows, height, width, self.out_channels).permute(0, 3, 1, 2)


def make_rowwise(model: nn.Module) -> None:
    """Let the linear layers and the 1x1 convolutions of ``model`` compute row by row.

    The larger convolutions need nothing: from two rows on they treat each alike.
    """
    for module in model.modules():
        # The class alone changes, so that weights, names and hooks stay.
        if type(module) is nn.Linear:
            module.__class__ = RowwiseLinear
        elif type(module) is nn.Conv2d and _is_pointwise(module):
            module.__class__ = RowwisePointwise


def _is_pointwise(layer: nn.Conv2d) -> bool:
    return (layer.kernel_size, layer.stride, layer.groups) == ((1, 1), (1, 1), 1)


def _products(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x`` (rows, n, in) times ``weight`` (out, in), plus ``bias`` (out,): (rows, n, out)."""
    weights = weight.t().expand(len(x), -1, -1)
    return torch.bmm(x, weights) if bias is None else torch.baddbmm(bias, x, weights)
