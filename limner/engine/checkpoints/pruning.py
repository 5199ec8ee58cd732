"""Leave out what adds exactly nothing.

A residual block whose last layer is all zeros (as it is set by hand in a small model's VAE, or
left so by a zero initialisation) computes x + 0. Running it costs as much as a trained one.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


class Shortcut(nn.Module):
    """A residual block without its residual: the input, through the block's own shortcut.

    ``idle`` holds the whole block, in a tuple, so that its weights are not the model's any more.
    """

    def __init__(self, block: nn.Module, shortcut: nn.Module | None, scale: float) -> None:
        super().__init__()
        self.idle = (block,)
        self.shortcut = shortcut
        self.scale = scale

    def forward(self, x: Tensor, *_: Any, **__: Any) -> Tensor:
        x = x if self.shortcut is None else self.shortcut(x)
        return x if self.scale == 1 else x / self.scale


def prune(model: nn.Module) -> int:
    """Replace idle residual blocks and attentions in ``model``; returns how many there were.

    The model's output stays the same to the bit.
    """
    found = [
        (parent, name, _shortcut(child))
        for parent in model.modules()
        for name, child in parent.named_children()
    ]
    idle = [(parent, name, shortcut) for parent, name, shortcut in found if shortcut is not None]
    for parent, name, shortcut in idle:
        setattr(parent, name, shortcut)
    return len(idle)


def idle(model: nn.Module) -> list[nn.Module]:
    """What ``prune`` took out of it."""
    return [module.idle[0] for module in model.modules() if isinstance(module, Shortcut)]


def restore(model: Model) -> Model:
    """Put back what ``prune`` took out, for one who gives it something to do; the same model."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, Shortcut):
                setattr(parent, name, child.idle[0])
    return model


def twin(model: Model) -> Model:
    """Another model with the same weights, which are in memory once."""
    whole: list[nn.Module] = [model, *idle(model)]
    shared: dict[int, Any] = {id(t): t for m in whole for t in (*m.parameters(), *m.buffers())}
    return copy.deepcopy(model, shared)


def _shortcut(block: nn.Module) -> Shortcut | None:
    """What stands for ``block``, or None when it does something."""
    if isinstance(block, ResnetBlock2D) and _is_zero(block.conv2):
        return Shortcut(block, block.conv_shortcut, block.output_scale_factor)
    if isinstance(block, Attention) and block.residual_connection and _is_zero(block.to_out[0]):
        return Shortcut(block, None, block.rescale_output_factor)
    return None


def _is_zero(layer: nn.Module) -> bool:
    return not any(torch.count_nonzero(parameter) for parameter in layer.parameters())
